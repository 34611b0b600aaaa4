// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/vocabulary.h"

#include "models/predict/packet_type.h"

namespace foreflow::config {

const std::vector<std::string>& Arms() {
  static const std::vector<std::string> kNames = {"off", "reactive", "predictive", "oracle", "anti_oracle"};
  return kNames;
}

const std::vector<std::string>& Authorities() {
  static const std::vector<std::string> kNames = {"bounded", "literal"};
  return kNames;
}

const std::vector<std::string>& Scopes() {
  static const std::vector<std::string> kNames = {"packet", "burst"};
  return kNames;
}

const std::vector<std::string>& Learners() {
  static const std::vector<std::string> kNames = {"persistence", "majority", "markov1", "markov2", "markov3"};
  return kNames;
}

const std::vector<std::string>& Predictors() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names = Learners();
    names.insert(names.end(), {"gru", "tabulated", "tiered"});
    return names;
  }();
  return kNames;
}

const std::vector<std::string>& Verbs() {
  static const std::vector<std::string> kNames = {"forward", "drop", "trap"};
  return kNames;
}

const std::vector<std::string>& Families() {
  static const std::vector<std::string> kNames = {"any", "arp", "ipv4", "ipv6"};
  return kNames;
}

const std::vector<std::string>& PacketTypes() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
      names.emplace_back(predict::Name(static_cast<predict::PacketType>(i)));
    }
    return names;
  }();
  return kNames;
}

const std::vector<std::string>& Residencies() {
  static const std::vector<std::string> kNames = {"static", "lru", "lfu", "rebalance", "random", "greedy"};
  return kNames;
}

const std::vector<std::string>& Placements() {
  static const std::vector<std::string> kNames = {"nic", "host_core"};
  return kNames;
}

}  // namespace foreflow::config
