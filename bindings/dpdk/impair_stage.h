// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_IMPAIR_STAGE_H_
#define FOREFLOW_BINDINGS_DPDK_IMPAIR_STAGE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/dpdk/port_pair.h"
#include "models/impair/delay_line.h"
#include "models/impair/impairment.h"

namespace foreflow::dpdk {

struct ImpairStageConfig {
  std::array<impair::ImpairmentConfig, kPairPorts> from;  // by the port that receives
  std::uint64_t seed = 1;
  std::size_t frames = 16'384;  // on their way at once, of both directions: 1 .. 2^20
};

// {"seed", "frames", "there": impairment of what port 0 receives, "back": of what port 1 receives}, as
// config::ReadImpairment has them; what is left out passes everything. Throws Refusal. `where` is for
// messages.
ImpairStageConfig ParseImpairStage(const std::string& where, const std::string& text);
ImpairStageConfig LoadImpairStage(const std::string& file);

// A wire that is not a good one: what comes in by one port leaves by the other, or does not, as
// impair::Impairment says. To it a frame is a UDP datagram over IPv4: its size is what follows these headers,
// which are never changed. A frame's path is chosen by its addresses and ports, as switches do. Marks are set
// where the packet's sender heeds them (RFC 3168).
class ImpairStage final : public PairStage {
 public:
  explicit ImpairStage(const ImpairStageConfig& config);

  void Receive(std::size_t port, rte_mbuf* const* frames, std::size_t count, Nanos now,
               PairLink& link) override;
  void Advance(Nanos now, PairLink& link) override;
  void Clear() override;
  const std::vector<PairRow>& rows() const override;
  void Count(std::uint64_t* values) const override;
  std::size_t held() const override { return line_.size(); }
  std::string Imbalance() const override;

 private:
  struct OnItsWay {
    rte_mbuf* frame = nullptr;
    std::uint8_t to = 0;
  };
  struct Counts {
    std::uint64_t no_room = 0;   // copies that found `frames` on their way, or no mbuf
    std::uint64_t released = 0;  // to the other port
  };

  void Hold(rte_mbuf* frame, std::size_t from, const impair::Passage::Copy& copy);

  std::vector<impair::Impairment> impairments_;  // by the port that receives
  impair::DelayLine line_;
  std::vector<OnItsWay> places_;
  std::vector<std::uint32_t> free_;
  std::array<Counts, kPairPorts> counts_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_IMPAIR_STAGE_H_
