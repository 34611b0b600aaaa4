// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_DESCRIPTION_H_
#define FOREFLOW_MODELS_PATH_DESCRIPTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/base/units.h"
#include "models/path/speculation.h"
#include "models/predict/governor.h"
#include "models/predict/tiered_predictor.h"
#include "models/predict/type_predictor.h"
#include "models/rules/flow_cache.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {

// What stands behind the decision of one packet, for people: see PacketPath::Describe. Shares of 65535 are
// as everywhere: 65535 = 1.
struct Description {
  // Break-even law: acted on while hit_rate > break_even (with hysteresis).
  struct Governor {
    std::uint16_t hit_rate = 0;
    std::uint16_t break_even = 0;
    bool is_open = false;
  };
  static Governor Of(const predict::Governor& governor) {
    return {governor.HitRate(), governor.BreakEven(), governor.IsOpen()};
  }

  // What trained models made of the packet (predict::TieredPredictor).
  struct Models {
    predict::Reading reading;       // as trained
    predict::TypeGuess guess;       // mixed with what learns on
    double pressure = 0;            // on the VM's drift detector, 1: an alarm
    std::uint32_t sharpness = 256;  // of online calibration, 256 = 1
  };
  struct Type {
    predict::Context context;                      // what the prediction was made from
    predict::Prediction prediction;                // of all types
    predict::Tier tier = predict::Tier::kLearned;  // whose word weighs most
    std::optional<Models> models;
    std::uint8_t header_queue = 0;  // the queue without a tag
    std::uint8_t tag_queue = 0;     // the queue that a tag of this prediction would choose
    bool follows_host = false;      // on probation: the host's governor decides, not the VM's
    Governor governor;              // the one that decides whether the tag is written
  };
  struct Destination {
    flow::FlowKey key;             // of the latest packet that went there
    std::uint16_t confidence = 0;  // of the whole chain up to it
    std::uint8_t step = 0;         // packets to other destinations ahead, 1..lookahead
    bool is_resident = false;      // the device has its entry, or it is on its way
  };

  std::uint64_t number = 0;  // of the packet on its lane, from 0

  // The device, before it decides the packet.
  rules::EntryKey entry;
  std::optional<rules::FlowCache::Resident> resident;  // the entry, where the device has it
  std::size_t cache_entries = 0;
  std::size_t cache_capacity = 0;
  std::size_t unused_predictions = 0;
  std::size_t unused_prediction_limit = 0;
  std::vector<rules::EntryKey> writes;  // entries that prediction asks for behind this packet

  // The host, in arms that predict and of packets of profiled VMs.
  std::optional<Type> type;
  std::vector<Destination> next;  // likeliest chain, and the second likeliest beside each step
  std::array<Governor, kPredictionSources> destination_governors{};
  bool rehearsal_allows = false;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_DESCRIPTION_H_
