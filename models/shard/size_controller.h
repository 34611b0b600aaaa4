// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_SIZE_CONTROLLER_H_
#define FOREFLOW_MODELS_SHARD_SIZE_CONTROLLER_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/shard/loss_parts.h"

namespace foreflow::shard {

// By what rule packets are cut.
enum class SizeRule : std::uint8_t {
  kWhole,       // splits what the path's MTU demands, and nothing else
  kClosedForm,  // splits where that sends fewer bytes, or where it is allowed to cost some
  kNaive,       // the smaller the more severe the congestion: positive feedback, here to be compared with
};

// Why packets are cut as they are.
enum class SizeReason : std::uint8_t { kWhole, kPathMtu, kBitErrors, kPipelining, kMultipath, kNaive };
constexpr std::size_t kSizeReasons = static_cast<std::size_t>(SizeReason::kNaive) + 1;
// The snake_case name; nullptr out of range.
const char* Name(SizeReason reason);

struct SizeControllerConfig {
  SizeRule rule = SizeRule::kClosedForm;
  std::size_t least_bytes = 256;  // of text in a fragment, the last of a packet but excepted: 1 .. 65535
  std::size_t overhead =
      106;  // on the wire, of each fragment: header 24, tag 16, UDP 8, IPv4 20, Ethernet 38
  std::size_t most_fragments = 16;  // of a packet: 1 .. 64
  unsigned hops = 1;          // links that forward whole fragments and where serialisation dominates; 1: none
  unsigned paths = 1;         // that fragments may be spread over
  double gain = 0.05;         // a change must save this share, 0 .. 1
  Nanos dwell = Millis(100);  // between changes: 0 ..
  std::uint16_t naive_threshold = 6'554;  // severity from which kNaive splits, 65535 = 1
};

// What is known when a size is chosen.
struct SizeInputs {
  LossParts loss;
  double demand = 0;           // bytes a second of packets that are to be sent
  double delivered = 0;        // bytes a second on the wire that the path has shown to deliver
  std::size_t most_text = 0;   // that fits a datagram on this path, 1 ..
  std::size_t packet = 0;      // bytes of the packets that the choice is for, 1 .. 65535
  std::uint16_t severity = 0;  // CongestionReport's; 65535 = 1
};

// How packets of SizeInputs::packet bytes are to be cut.
struct SizeChoice {
  std::size_t fragments = 1;  // of such a packet
  std::size_t text = 0;       // bytes of each but the last
  SizeReason reason = SizeReason::kWhole;
};

// Chooses the size of fragments. The default is not to split: every fragment costs `overhead` bytes, and what
// is lost by a full queue is lost whatever its size. Bit errors strike the longer the likelier, so there is a
// size at which the fewest bytes are sent in all (size_math.h). Pipelining over several links and spreading
// over several paths buy time with bytes.
//
// Invariant: what a choice offers the wire is at most what whole packets would offer, or at most what the
// path has shown to deliver: Offered(choice) <= max(Offered(fewest fragments), delivered). So splitting alone
// cannot overload a path. kNaive breaks it: it is the arm to compare with.
class SizeController {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit SizeController(const SizeControllerConfig& config);

  // Changes the choice at most once a dwell, but where what is in use may not stay. Valid until the next
  // call.
  const SizeChoice& Choose(const SizeInputs& inputs, Nanos now);

  // Bytes a second on the wire for packets of `packet` bytes in so many fragments, each sent until it
  // arrives.
  static double Offered(const SizeInputs& inputs, std::size_t fragments, double overhead);

 private:
  SizeChoice Wanted(const SizeInputs& inputs, std::size_t fewest, std::size_t most) const;
  bool IsAllowed(const SizeInputs& inputs, std::size_t fragments, std::size_t fewest) const;
  double Cost(const SizeInputs& inputs, std::size_t fragments, SizeReason reason) const;

  SizeControllerConfig config_;
  SizeChoice choice_;
  Nanos changed_;
  bool has_changed_ = false;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_SIZE_CONTROLLER_H_
