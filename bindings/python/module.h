// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PYTHON_MODULE_H_
#define FOREFLOW_BINDINGS_PYTHON_MODULE_H_

#include <pybind11/pybind11.h>

namespace foreflow::python {

namespace py = pybind11;

// Each adds one room to the module.
void BindUnits(py::module_& module);
void BindWire(py::module_& module);
void BindFlow(py::module_& module);
void BindPredict(py::module_& module);
void BindTag(py::module_& module);
void BindPcap(py::module_& module);
void BindControl(py::module_& module);
void BindShard(py::module_& module);
void BindLoss(py::module_& module);

}  // namespace foreflow::python

#endif  // FOREFLOW_BINDINGS_PYTHON_MODULE_H_
