// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_UNIT_STAGE_H_
#define FOREFLOW_BINDINGS_DPDK_UNIT_STAGE_H_

#include <rte_ring.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/dpdk/message_trace.h"
#include "bindings/dpdk/port_pair.h"
#include "bindings/dpdk/ring_port.h"
#include "models/crypto/key_agreement.h"
#include "models/shard/unit.h"
#include "models/wire/datagram.h"

namespace foreflow::dpdk {

struct UnitStageConfig {
  shard::UnitConfig unit;         // of one peer
  wire::DatagramEnd own;          // the outer port's
  wire::DatagramEnd peer;         // where datagrams go to
  MessageTrace* trace = nullptr;  // of what it opens, which must outlive it; nullptr: none
};

// What the host has its unit do: with sessions and keys, and nothing else.
struct UnitOrder {
  enum class Kind : std::uint8_t { kBegin, kReceivingKey, kSendingKey, kRetireKeys, kEnd };
  Kind kind = Kind::kBegin;
  std::uint32_t sending_session = 0;    // kBegin
  std::uint32_t receiving_session = 0;  // kBegin
  std::uint8_t epoch = 0;               // of a key
  crypto::AeadAlgorithm cipher = crypto::AeadAlgorithm::kAes256Gcm;
  crypto::SecretKey key;
};

// A packet dynamics unit between the host at port 0 and the network at port 1: a frame from the host goes to
// the peer in datagrams of UDP, and what the peer's datagrams carry goes to the host. Of other frames from
// the network, requests for the own MAC are answered and the rest is dropped by reason. Packets in which the
// two units' hosts agree on keys come by the same UDP port, and are the host's (the calling thread's): the
// unit carries them, and opens none.
class UnitStage final : public PairStage, private shard::UnitSink {
 public:
  static constexpr std::size_t kSessionPlaces = 1;  // shard::Unit::places() of one peer
  static constexpr std::size_t kMostHeld = 64;      // frames, for the host's thread

  // Throws Refusal as shard::Unit does, and where there is no memory. After the EAL has started.
  explicit UnitStage(const UnitStageConfig& config);
  ~UnitStage() override;

  void Receive(std::size_t port, rte_mbuf* const* frames, std::size_t count, Nanos now,
               PairLink& link) override;
  void Advance(Nanos now, PairLink& link) override;
  void Clear() override;
  const std::vector<PairRow>& rows() const override { return rows_; }
  void Count(std::uint64_t* values) const override;
  std::size_t held() const override { return 0; }  // it keeps copies of its own
  std::string Imbalance() const override;

  // The host's, from one thread while the stage runs.
  // Waits until the unit has done it; false where the unit refused.
  bool Do(const UnitOrder& order);
  // The next frame with a packet of key agreement, to be freed; nullptr where there is none.
  rte_mbuf* TakeAgreement();
  // Sends a packet of key agreement to the peer. What finds no room is lost, as in a network.
  void SendAgreement(BytesView packet);
  // What the newest sending key has sealed.
  std::uint64_t sealed_bytes() const { return sealed_bytes_.load(std::memory_order_relaxed); }
  // Memory of the unit, bytes.
  std::size_t bytes() const { return unit_.bytes(); }

 private:
  // What becomes of frames from the network besides the unit's verdicts.
  enum FrameFate : std::uint8_t {
    kArpAnswered,
    kOther,
    kFrameMalformed,
    kIpFragment,
    kBadChecksum,
    kSegmented,
    kAgreement,
    kAgreementFull,
    kFrameFates,
  };
  // What becomes of packets for the host.
  struct HostCounts {
    std::uint64_t packets = 0;
    std::uint64_t given = 0;
    std::uint64_t unmarkable = 0;  // marked on the way, and the sender does not speak ECN: RFC 6040 drops it
    std::uint64_t no_memory = 0;
  };

  void OnDatagram(const shard::UnitDatagram& datagram) override;
  void OnPacket(const shard::UnitPacket& packet) override;
  static std::vector<PairRow> RowsOf(std::size_t paths);
  void FromHost(rte_mbuf* frame, Nanos now);
  void FromNetwork(rte_mbuf* frame, Nanos now);
  void Trace(BytesView datagram, Nanos now);
  void ServeHost(Nanos now);
  bool Obey(const UnitOrder& order, Nanos now);

  wire::DatagramEnd own_;
  wire::DatagramEnd peer_;
  shard::Unit unit_;
  std::vector<PairRow> rows_;
  MessageTrace* trace_;
  shard::UnitWork work_;
  PairLink* link_ = nullptr;  // during a call
  Nanos now_;
  std::array<std::uint64_t, shard::kUnitVerdicts> verdicts_from_host_{};
  std::array<std::uint64_t, shard::kUnitVerdicts> verdicts_from_network_{};
  std::array<std::uint64_t, kFrameFates> fates_{};
  std::uint64_t segmented_from_host_ = 0;
  std::uint64_t no_memory_ = 0;  // for a datagram
  std::uint64_t begun_ = 0;      // sessions
  std::uint64_t rekeyed_ = 0;    // sending keys that took another's place
  HostCounts host_;

  Ring agreements_in_;   // frames for the host's thread
  Ring agreements_out_;  // and from it: packets, as AgreementPacket
  std::atomic<const UnitOrder*> order_{nullptr};
  std::atomic<std::uint64_t> sealed_bytes_{0};
  bool obeyed_ = false;  // of the last order: written before order_ is cleared
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_UNIT_STAGE_H_
