// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_IMPAIR_LINK_H_
#define FOREFLOW_MODELS_IMPAIR_LINK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/impair/delay_line.h"
#include "models/impair/impairment.h"

namespace foreflow::impair {

// One direction; memory is bounded by the product of the two numbers.
struct LinkConfig {
  ImpairmentConfig impairment;
  std::size_t datagrams = 4096;      // on their way at once, copies included: 1 .. 2^24
  std::size_t largest_bytes = 2048;  // of a datagram: 1 .. 65535
};

// An impairment that carries the bytes too: one direction between two ends. `datagrams` x `largest_bytes` of
// memory, taken at set-up. One thread.
class Link {
 public:
  // As Impairment. Throws Refusal on values outside the ranges above.
  Link(const LinkConfig& config, std::uint64_t seed, std::uint32_t index = 0);

  // Copies the datagram, where it passes; `note` arrives with it, whatever becomes of its bytes. Longer ones
  // than `largest_bytes` are kTooLarge.
  Fate Send(BytesView datagram, std::size_t path, Nanos now, std::uint8_t note = 0);

  struct Arrival {
    MutableBytes datagram;   // until the next call of Receive
    Nanos at;                // it arrived: <= now
    std::size_t path = 0;    // 0 .. paths - 1
    bool is_marked = false;  // as Passage
    std::uint8_t note = 0;
    bool is_changed = false;   // a byte of it
    std::uint64_t number = 0;  // of its datagram: counts().in after Send
  };
  // The first that arrives by `now`; false where there is none.
  bool Receive(Nanos now, Arrival& arrival);
  // When the first arrives; DelayLine::kNever where nothing is on its way.
  Nanos next() const { return line_.next(); }

  // counts().out = arrived + no_room + held.
  const Impairment::Counts& counts() const { return impairment_.counts(); }
  std::uint64_t arrived() const { return arrived_; }
  std::uint64_t no_room() const { return no_room_; }  // copies that found `datagrams` on their way
  std::size_t held() const { return line_.size(); }

 private:
  struct Slot {
    std::uint16_t bytes = 0;
    std::uint8_t path = 0;
    bool is_marked = false;
    std::uint8_t note = 0;
    bool is_changed = false;
    std::uint64_t number = 0;
  };
  static constexpr std::uint32_t kNone = 0xffffffffu;

  Impairment impairment_;
  std::size_t largest_bytes_;
  DelayLine line_;
  std::vector<std::uint8_t> bytes_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::uint32_t shown_ = kNone;  // the slot that the caller looks at
  std::uint64_t arrived_ = 0, no_room_ = 0;
};

}  // namespace foreflow::impair

#endif  // FOREFLOW_MODELS_IMPAIR_LINK_H_
