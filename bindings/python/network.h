// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PYTHON_NETWORK_H_
#define FOREFLOW_BINDINGS_PYTHON_NETWORK_H_

#include <pybind11/pybind11.h>

#include <vector>

#include "models/impair/impairment.h"

namespace foreflow::python {

// Paths, each a dict of some fields of impair::PathConfig and its bursts; times in nanoseconds. Throws
// Refusal on other keys.
std::vector<impair::PathConfig> PathsOf(const std::vector<pybind11::dict>& paths);

}  // namespace foreflow::python

#endif  // FOREFLOW_BINDINGS_PYTHON_NETWORK_H_
