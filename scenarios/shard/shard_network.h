// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_SHARD_NETWORK_H_
#define FOREFLOW_SCENARIOS_SHARD_SHARD_NETWORK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hw-models/cost/station.h"
#include "models/base/bytes.h"
#include "models/crypto/digest.h"
#include "scenarios/shard/cross_traffic.h"
#include "scenarios/shard/lateness_record.h"
#include "scenarios/shard/shard_topology.h"

namespace foreflow::scenarios {

// Of one direction.
struct ShardTraffic {
  std::uint64_t packets = 0;  // or messages
  std::uint64_t plain_bytes =
      0;                         // on the wire, had the packets been sent as they are; of messages, their own
  std::uint64_t wire_bytes = 0;  // that the hosts' ports sent
  std::uint64_t delivered_bytes = 0;  // of plain_bytes, of packets that came whole
  std::uint64_t datagrams = 0, lost = 0, queue_full = 0;
  std::uint64_t asked = 0, requests = 0, spurious = 0, early = 0;  // by the receiver
};

// A ShardTopology that is watched: what its hosts send each other, what the network does to it, and, of
// kClairvoyant, word of what was lost to the unit that waits for it.
class ShardNetwork {
 public:
  // Told of a frame of Send that is at the other host: its number there, and when it is in memory.
  using Whole = std::function<void(std::uint32_t frame, BytesView bytes, Nanos at)>;
  // As BuildShardTopology. `whole` may be empty.
  ShardNetwork(const ShardConfig& config, const std::array<shard::ChannelModel, 2>& channels,
               std::size_t most_frame, Whole whole);
  ShardNetwork(const ShardNetwork&) = delete;
  ShardNetwork& operator=(const ShardNetwork&) = delete;

  const ShardHost& host(unsigned side) const { return topology_.hosts[side]; }
  // Writes the addresses of the hosts into a frame from this side, 14 bytes or more.
  void Address(unsigned side, MutableBytes frame) const;
  // A frame with such addresses leaves the host now. Its number is the caller's. False: its unit did not take
  // it.
  bool Send(unsigned side, BytesView frame, std::uint32_t number);

  ShardTraffic& traffic(unsigned side) { return ways_[side].traffic; }
  crypto::Sha256& digest() { return digest_; }  // of every verdict; others may add

  // After the run. What was lost by whom, and what the receivers asked for, is added to traffic().
  void Finish();
  const std::vector<std::uint32_t>& hurt() const { return hurt_; }  // see ShardOutcome, as all that follows
  std::uint64_t not_delivered() const { return not_delivered_; }
  const shard::Unit::Sent& sent() const { return sent_; }
  // How long packets were in the two units together, waiting or served, in rising order.
  const std::vector<Picos>& in_units() const { return in_units_; }
  std::vector<hw::StationReport> Stations() const;
  shard::ChannelModel ChannelOf(unsigned side) const;

 private:
  static constexpr std::uint32_t kNobody = UINT32_MAX;

  // A packet that a unit has cut.
  struct Cut {
    std::uint64_t base = 0;
    std::uint32_t frame = 0;
    Picos sealed;  // after it came, its last fragment left the engines
    bool is_hurt = false;
  };
  struct Way {
    ShardTraffic traffic;
    std::vector<Cut> cuts;                // in order of their bases
    std::vector<LatenessRecord> records;  // by path
    std::vector<Nanos> in_turn;           // by path: when the last frame that was not overtaken arrives
    std::vector<std::uint64_t> late;      // by path: frames that were overtaken, so far
  };

  void Watch();
  void OnDatagram(unsigned side, const ns3::foreflow::PduDatagram& datagram);
  void OnPassage(std::size_t path, ns3::Ptr<const ns3::Packet> frame, std::size_t side,
                 const impair::Passage& passage);
  void OnArrival(unsigned side, std::size_t path, ns3::Ptr<const ns3::Packet> frame);
  void OnPacket(unsigned side, const ns3::foreflow::PduPacket& packet);
  void OnPlain(ns3::Ptr<const ns3::Packet> frame);
  void TellLost(unsigned side, std::uint64_t number);
  void Hurt(Cut& cut);
  static Cut* Find(Way& way, std::uint64_t base);
  Nanos DelayOf(std::size_t path) const;

  const ShardConfig& config_;
  ShardTopology topology_;
  Whole whole_;
  std::array<Way, 2> ways_;  // by who sends
  std::vector<CrossTraffic> others_;
  std::uint32_t sending_ = kNobody;  // the frame that is being handed to a unit
  std::map<std::uint64_t, std::uint32_t>
      under_way_;                    // without units: frames by the number that ns-3 gives them
  std::vector<std::uint8_t> bytes_;  // of a frame
  std::vector<std::uint32_t> hurt_;
  std::uint64_t not_delivered_ = 0;
  shard::Unit::Sent sent_;
  std::vector<Picos> in_units_;
  crypto::Sha256 digest_;
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_SHARD_NETWORK_H_
