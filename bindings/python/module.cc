// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/python/module.h"

#include "models/base/refusal.h"

namespace {

PYBIND11_MODULE(foreflow_core, module) {
  namespace python = foreflow::python;
  module.doc() = "foreflow's cores: the object code that also runs in the simulator and on a NIC.";
  pybind11::register_exception<foreflow::Refusal>(module, "Refusal", PyExc_ValueError);
  python::BindUnits(module);
  python::BindWire(module);
  python::BindFlow(module);
  python::BindPredict(module);
  python::BindTag(module);
  python::BindPcap(module);
  python::BindControl(module);
  python::BindShard(module);
  python::BindLoss(module);
}

}  // namespace
