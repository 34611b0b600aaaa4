// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DATASET_BUILD_H_
#define FOREFLOW_BINDINGS_DATASET_BUILD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/base/units.h"

namespace foreflow::dataset {

// What the command line asks for.
struct Order {
  std::string task;
  std::vector<std::string> captures;
  std::vector<std::string> held_out;
  std::string out;
  Nanos horizon = Millis(200);
  std::uint32_t vms = 64;
};

// Throws Refusal outside (0, 60000].
Nanos HorizonOf(double milliseconds);

// Reads the captures, one after another, and writes the data set; a sentence on what it holds. Memory: one
// capture at a time, and all rows. Throws Refusal where the order cannot be carried out.
std::string Build(const Order& order);

}  // namespace foreflow::dataset

#endif  // FOREFLOW_BINDINGS_DATASET_BUILD_H_
