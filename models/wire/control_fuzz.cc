// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/control.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace foreflow::wire {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Returns what follows the struct, or nullptr; what was decoded encodes to the very bytes.
template <typename Struct>
const std::uint8_t* RoundTrip(BytesView bytes) {
  Struct decoded;
  const std::uint8_t* end = Decode(bytes.begin(), bytes.end(), decoded);
  if (end == nullptr) return nullptr;
  Require(end == bytes.begin() + Struct::kBytes);
  std::uint8_t again[Struct::kBytes];
  Require(Encode(again, again + sizeof(again), decoded) == again + sizeof(again));
  Require(std::memcmp(again, bytes.data, sizeof(again)) == 0);
  return end;
}

template <typename Row>
void RoundTripRows(const std::uint8_t* at, const std::uint8_t* end) {
  while (at != nullptr && at < end) at = RoundTrip<Row>({at, static_cast<std::size_t>(end - at)});
}

void RoundTripBody(ControlType type, BytesView body) {
  switch (type) {
    case ControlType::kHello:
      RoundTrip<ControlHello>(body);
      return;
    case ControlType::kRulePart:
      RoundTrip<ControlRulePart>(body);
      return;
    case ControlType::kKeyRotation:
      RoundTrip<ControlKeyRotation>(body);
      return;
    case ControlType::kProfile:
      RoundTripRows<ControlProfileRow>(RoundTrip<ControlProfile>(body), body.end());
      return;
    case ControlType::kProfileRequest:
      RoundTrip<ControlProfileRequest>(body);
      return;
    case ControlType::kStatisticsRequest:
      RoundTrip<ControlStatisticsRequest>(body);
      return;
    case ControlType::kStatisticsReport:
      RoundTripRows<ControlStatisticsRow>(RoundTrip<ControlStatisticsReport>(body), body.end());
      return;
    case ControlType::kAcknowledgement:
      RoundTrip<ControlAcknowledgement>(body);
      return;
    case ControlType::kRefusal:
      RoundTrip<ControlRefusal>(body);
      return;
  }
  std::abort();  // the header names no other type
}

}  // namespace
}  // namespace foreflow::wire

// One message: every struct in it that decodes encodes again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow::wire;
  ControlHeader header;
  foreflow::BytesView body;
  bool wrong_version = false;
  if (!ReadControlHeader({data, size}, header, body, wrong_version)) return 0;
  Require(!wrong_version);
  RoundTrip<ControlHeader>({data, size});
  RoundTripBody(header.type, body);
  return 0;
}
