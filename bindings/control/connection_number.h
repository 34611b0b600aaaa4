// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONTROL_CONNECTION_NUMBER_H_
#define FOREFLOW_BINDINGS_CONTROL_CONNECTION_NUMBER_H_

#include <algorithm>
#include <cstdint>

namespace foreflow::control {

// The first number after `last`, upwards and round, that no connection from `begin` to `end` has, of which
// there are fewer than numbers: so that a number comes back as late as can be, and never while it is in use.
template <typename Connection>
std::uint16_t NextConnectionNumber(std::uint16_t last, Connection begin, Connection end) {
  std::uint16_t next = last;
  do {
    ++next;
  } while (std::any_of(begin, end, [next](const auto& connection) { return connection.number == next; }));
  return next;
}

}  // namespace foreflow::control

#endif  // FOREFLOW_BINDINGS_CONTROL_CONNECTION_NUMBER_H_
