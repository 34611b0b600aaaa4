// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_PROFILE_H_
#define FOREFLOW_MODELS_TAG_PROFILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "models/base/hash.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/predict/features.h"
#include "models/predict/packet_type.h"
#include "models/predict/successor_table.h"
#include "models/predict/type_predictor.h"
#include "models/rules/rule_table.h"

namespace foreflow::tag {

// What the host's behavioural profiling module knows of one VM: where it sends (a bounded set of
// destinations, the least recently used forgotten first), what follows what, and what types its packets turn
// out to have. All memory is taken at construction.
class VmProfile {
 public:
  struct Config {
    flow::VmId vm = 0;
    std::uint16_t peers = 1000;   // destinations remembered, 2..65534
    std::uint8_t successors = 3;  // kept a destination
    // Of types; none where somebody else predicts them.
    std::optional<predict::PredictorKind> predictor = predict::PredictorKind::kMarkov3;
    std::uint64_t seed = 1;  // of the table's hash
  };
  // Throws Refusal where `peers` is out of range.
  explicit VmProfile(const Config& config);

  static constexpr predict::DestinationId kNoDestination = 0xffff;

  // One packet of this VM, in order of time. `context` is what the packet's type is predicted from. `moved`
  // tells that the VM turned to another destination than before. A VM is followed at its first 64 sources,
  // addresses in a VLAN: what it sends from others has kNoDestination.
  struct Observation {
    predict::Context context;
    predict::DestinationId destination = kNoDestination;  // below Config::peers; used again once forgotten
    bool moved = false;
    bool is_new = false;  // the destination was not known, or was forgotten
  };
  // `entry` is what the packet's flow entry would match. Counts kUpdate, kHash, and kProbe and kCacheLine for
  // each destination looked at.
  Observation Observe(const predict::PacketSummary& packet, const rules::EntryKey& entry, Work& work) {
    return Observe(packet, entry, rules::HashOf(hash_, entry), work);
  }
  // The same for a caller that holds the entry's hash already: by a KeyHasher of Config::seed.
  Observation Observe(const predict::PacketSummary& packet, const rules::EntryKey& entry, std::uint64_t hash,
                      Work& work) {
    Observation seen;
    Observe(Follow(packet), packet, entry, hash, seen, work);
    return seen;
  }
  // Observe in two halves: what the VM sends is followed for several packets first, so that the memory their
  // predictions need is on its way. `followed` is what Follow gave for this packet.
  predict::Context Follow(const predict::PacketSummary& packet);
  void Observe(const predict::Context& followed, const predict::PacketSummary& packet,
               const rules::EntryKey& entry, std::uint64_t hash, Observation& seen, Work& work);

  // Brings nearer what Observe will touch.
  void Prefetch(std::uint64_t hash) const {
    const std::uint16_t id = bucket_[BucketOf(hash)];
    if (id == kNoDestination) return;
    __builtin_prefetch(&peers_[id], 1);
    successors_.Prefetch(id);
  }
  // A second step of it, some time later: the neighbours in order of use.
  void PrefetchNeighbours(std::uint64_t hash) const {
    const std::uint16_t id = bucket_[BucketOf(hash)];
    if (id == kNoDestination) return;
    const Peer& peer = peers_[id];
    if (peer.newer != kNoDestination) __builtin_prefetch(&peers_[peer.newer], 1);
    if (peer.older != kNoDestination) __builtin_prefetch(&peers_[peer.older], 1);
  }
  // Brings nearer what LearnType of this context will touch.
  void PrefetchType(const predict::Context& context) const { types_->Prefetch(context); }

  // Not where there is no predictor of types; the same for PrefetchType.
  predict::Prediction PredictType(const predict::Context& context, Work& work) const {
    return types_->Predict(context, work);
  }
  // `context` is the one that Observe gave for the packet whose true type is now known.
  void LearnType(const predict::Context& context, predict::PacketType truth, Work& work);

  // What most often followed `from`: SuccessorTable::Predict.
  std::size_t PredictDestinations(predict::DestinationId from, predict::NextDestination* out,
                                  std::size_t limit, Work& work) const {
    return successors_.Predict(from, out, limit, work);
  }
  // The key of the latest packet that went to this destination, which Observe has named.
  flow::FlowKey KeyOf(predict::DestinationId destination) const;
  // Of its entry key.
  wire::VlanKey VlanOf(predict::DestinationId destination) const {
    return sources_[peers_[destination].source].vlan;
  }

  // Of the last packet observed; kNoDestination before the first.
  predict::DestinationId last_destination() const { return last_; }

  flow::VmId vm() const { return config_.vm; }
  // Memory in all, which does not grow.
  std::size_t bytes() const;

 private:
  static constexpr std::size_t kSources = 64;

  // Where a VM sends from: an address in a VLAN.
  struct Source {
    std::array<std::uint8_t, 16> address;
    wire::VlanKey vlan;
  };
  struct Peer {
    std::array<std::uint8_t, 16> destination_address;
    std::uint16_t destination_port;  // of the latest packet
    std::uint16_t source_port;
    std::uint16_t destination_class;
    std::uint16_t source_class;
    std::uint8_t source : 6;  // index into sources_
    std::uint8_t l3 : 2;
    std::uint8_t ip_protocol;
    std::uint16_t chain;  // next in the same bucket
    std::uint16_t newer;
    std::uint16_t older;
  };

  std::uint8_t SourceOf(const rules::EntryKey& entry);
  std::size_t BucketOf(std::uint64_t hash) const { return hash & (bucket_.size() - 1); }
  bool Matches(const Peer& peer, const rules::EntryKey& entry) const;
  predict::DestinationId FindOrAdd(const rules::EntryKey& entry, std::uint64_t hash, bool& is_new,
                                   Work& work);
  void Unchain(std::uint16_t id);
  void MoveToNewest(std::uint16_t id);

  Config config_;
  KeyHasher hash_;
  std::unique_ptr<predict::TypePredictor> types_;
  predict::SuccessorTable successors_;
  predict::FeatureState features_;
  predict::Context context_;
  std::vector<Peer> peers_;
  std::vector<std::uint16_t> bucket_;
  std::vector<Source> sources_;
  std::uint16_t used_ = 0;
  std::uint16_t newest_ = kNoDestination;
  std::uint16_t oldest_ = kNoDestination;
  predict::DestinationId last_ = kNoDestination;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_PROFILE_H_
