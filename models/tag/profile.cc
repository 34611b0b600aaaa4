// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/profile.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::tag {
namespace {

// Two peers a bucket: memory counts more here than a probe.
std::size_t BucketsFor(std::uint16_t peers) {
  std::size_t buckets = 1;
  while (buckets * 2 < peers) buckets *= 2;
  return buckets;
}

}  // namespace

VmProfile::VmProfile(const Config& config)
    : config_(config),
      hash_(config.seed),
      types_(config.predictor ? predict::MakeTypePredictor(*config.predictor) : nullptr),
      successors_(config.peers, config.successors) {
  if (config.peers < 2 || config.peers == kNoDestination) {
    throw Refusal("configuration", "host.peers_per_vm", std::to_string(config.peers), "2..65534");
  }
  peers_.resize(config.peers);
  bucket_.assign(BucketsFor(config.peers), kNoDestination);
  sources_.reserve(kSources);
}

predict::Context VmProfile::Follow(const predict::PacketSummary& packet) {
  context_.Push(predict::SymbolOf(packet, features_));
  if (types_ != nullptr) types_->Prefetch(context_);
  return context_;
}

void VmProfile::Observe(const predict::Context& followed, const predict::PacketSummary& packet,
                        const rules::EntryKey& entry, std::uint64_t hash, Observation& seen, Work& work) {
  seen.context = followed;
  seen.context.last_label = context_.last_label;
  seen.moved = false;
  seen.is_new = false;
  work.Add(WorkItem::kUpdate);

  const predict::DestinationId destination = FindOrAdd(entry, hash, seen.is_new, work);
  seen.destination = destination;
  if (destination == kNoDestination) return;
  Peer& peer = peers_[destination];
  peer.source_port = packet.key.source_port;
  peer.destination_port = packet.key.destination_port;
  if (destination != last_) {
    seen.moved = true;
    if (last_ != kNoDestination) successors_.Observe(last_, destination, work);
    last_ = destination;
  }
}

void VmProfile::LearnType(const predict::Context& context, predict::PacketType truth, Work& work) {
  if (types_ != nullptr) types_->Learn(context, truth, work);
  context_.last_label = truth;
}

flow::FlowKey VmProfile::KeyOf(predict::DestinationId destination) const {
  const Peer& peer = peers_[destination];
  flow::FlowKey key;
  key.source_address = sources_[peer.source].address;
  key.destination_address = peer.destination_address;
  key.source_port = peer.source_port;
  key.destination_port = peer.destination_port;
  key.vm = config_.vm;
  key.ip_protocol = peer.ip_protocol;
  key.l3 = peer.l3;
  return key;
}

std::size_t VmProfile::bytes() const {
  return sizeof(*this) + (types_ == nullptr ? 0 : types_->bytes()) + successors_.bytes() +
         peers_.capacity() * sizeof(Peer) + bucket_.capacity() * sizeof(std::uint16_t) +
         sources_.capacity() * sizeof(sources_[0]);
}

// A VM sends from few addresses in few VLANs; those past the bound are not profiled (kSources), which costs
// predictions, never memory.
std::uint8_t VmProfile::SourceOf(const rules::EntryKey& entry) {
  const auto at = std::find_if(sources_.begin(), sources_.end(), [&](const Source& source) {
    return source.address == entry.fields.source_address && source.vlan == entry.vlan;
  });
  if (at == sources_.end() && sources_.size() < kSources) {
    sources_.push_back({entry.fields.source_address, entry.vlan});
    return static_cast<std::uint8_t>(sources_.size() - 1);
  }
  return static_cast<std::uint8_t>(at - sources_.begin());
}

bool VmProfile::Matches(const Peer& peer, const rules::EntryKey& entry) const {
  const flow::FlowKey& key = entry.fields;
  return Equal(peer.destination_address, key.destination_address) &&
         peer.destination_class == key.destination_port && peer.source_class == key.source_port &&
         peer.ip_protocol == key.ip_protocol && peer.l3 == key.l3 &&
         sources_[peer.source].vlan == entry.vlan && Equal(sources_[peer.source].address, key.source_address);
}

predict::DestinationId VmProfile::FindOrAdd(const rules::EntryKey& entry, std::uint64_t hash, bool& is_new,
                                            Work& work) {
  work.Add(WorkItem::kHash);
  const std::size_t bucket = BucketOf(hash);
  for (std::uint16_t id = bucket_[bucket]; id != kNoDestination; id = peers_[id].chain) {
    work.Add(WorkItem::kProbe);
    work.Add(WorkItem::kCacheLine);
    if (Matches(peers_[id], entry)) {
      MoveToNewest(id);
      return id;
    }
  }
  const std::uint8_t source = SourceOf(entry);
  if (source == kSources) return kNoDestination;

  is_new = true;
  std::uint16_t id = used_;
  if (used_ < peers_.size()) {
    ++used_;
    peers_[id].newer = peers_[id].older = kNoDestination;
  } else {
    id = oldest_;
    Unchain(id);
    successors_.Forget(id);
    if (last_ == id) last_ = kNoDestination;
  }
  Peer& peer = peers_[id];
  peer.destination_address = entry.fields.destination_address;
  peer.destination_class = entry.fields.destination_port;
  peer.source_class = entry.fields.source_port;
  peer.source = source & 0x3fu;
  peer.ip_protocol = entry.fields.ip_protocol;
  peer.l3 = entry.fields.l3 & 0x3u;
  peer.chain = bucket_[bucket];
  bucket_[bucket] = id;
  MoveToNewest(id);
  work.Add(WorkItem::kUpdate);
  return id;
}

void VmProfile::Unchain(std::uint16_t id) {
  rules::EntryKey entry;
  entry.fields = KeyOf(id);
  entry.fields.source_port = peers_[id].source_class;
  entry.fields.destination_port = peers_[id].destination_class;
  entry.vlan = VlanOf(id);
  std::uint16_t* link = &bucket_[BucketOf(rules::HashOf(hash_, entry))];
  while (*link != id) link = &peers_[*link].chain;
  *link = peers_[id].chain;
}

void VmProfile::MoveToNewest(std::uint16_t id) {
  if (newest_ == id) return;
  Peer& peer = peers_[id];
  if (peer.newer != kNoDestination) peers_[peer.newer].older = peer.older;
  if (peer.older != kNoDestination) peers_[peer.older].newer = peer.newer;
  if (oldest_ == id) oldest_ = peer.newer;
  peer.newer = kNoDestination;
  peer.older = newest_;
  if (newest_ != kNoDestination) peers_[newest_].newer = id;
  newest_ = id;
  if (oldest_ == kNoDestination) oldest_ = id;
}

}  // namespace foreflow::tag
