// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PYTHON_ARRAYS_H_
#define FOREFLOW_BINDINGS_PYTHON_ARRAYS_H_

#include <pybind11/numpy.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/trace_events.h"
#include "models/flow/flow_key.h"

namespace foreflow::python {

namespace py = pybind11;

// One-dimensional input of keys; a contiguous array of FLOW_KEY is read in place.
using KeyArray = py::array_t<flow::FlowKey, py::array::c_style>;

// The numpy dtype of a trace table's row struct, from its declaration.
py::dtype DtypeOf(const trace::Table& table);

// Hands the values to numpy without a copy: the array keeps them.
template <typename T>
py::array ToArray(std::vector<T>&& values, const py::dtype& dtype) {
  auto* owned = new std::vector<T>(std::move(values));
  const py::capsule owner(owned, [](void* data) { delete static_cast<std::vector<T>*>(data); });
  return py::array(dtype, {static_cast<py::ssize_t>(owned->size())}, {static_cast<py::ssize_t>(sizeof(T))},
                   owned->data(), owner);
}

// The index of `name` in `names`. Throws Refusal naming `what` and what is allowed.
std::size_t IndexOf(const std::vector<std::string>& names, const std::string& name, const std::string& what);

}  // namespace foreflow::python

#endif  // FOREFLOW_BINDINGS_PYTHON_ARRAYS_H_
