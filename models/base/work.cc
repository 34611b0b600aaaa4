// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/work.h"

namespace foreflow {

const char* Name(WorkItem item) {
  static constexpr std::array<const char*, kWorkItems> kNames = {
      "header",       "byte_parsed",  "hash",   "probe",       "cache_line", "mac_word", "table_step",
      "multiply_add", "rule_compare", "update", "byte_copied", "install",    "seal",     "byte_ciphered"};
  const auto index = static_cast<std::size_t>(item);
  return index < kNames.size() ? kNames[index] : nullptr;
}

}  // namespace foreflow
