// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PYTHON_WIRE_H_
#define FOREFLOW_BINDINGS_PYTHON_WIRE_H_

#include <string>
#include <vector>

namespace foreflow::python {

// How Python spells wire::Link, in the order of the enumerators.
const std::vector<std::string>& Links();

}  // namespace foreflow::python

#endif  // FOREFLOW_BINDINGS_PYTHON_WIRE_H_
