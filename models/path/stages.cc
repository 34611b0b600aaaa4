// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/stages.h"

namespace foreflow::path {

const char* Name(Stage stage) {
  static constexpr std::array<const char*, kStages> kNames = {
      "profile", "predict", "tag_seal", "preinstall", "parse", "tag_check", "flow_cache", "slow_path", "act"};
  const auto index = static_cast<std::size_t>(stage);
  return index < kNames.size() ? kNames[index] : nullptr;
}

}  // namespace foreflow::path
