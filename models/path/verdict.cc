// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/verdict.h"

namespace foreflow::path {
namespace {

template <typename T>
std::uint8_t* Put(std::uint8_t* out, T value) {
  const auto wide = static_cast<std::uint32_t>(value);
  for (std::size_t i = 0; i < sizeof(T); ++i) *out++ = static_cast<std::uint8_t>(wide >> (8 * i));
  return out;
}

}  // namespace

std::array<std::uint8_t, kVerdictBytes> Encode(const Verdict& verdict) {
  std::array<std::uint8_t, kVerdictBytes> record{};
  std::uint8_t* out = record.data();
  out = Put(out, verdict.verb);
  out = Put(out, verdict.reason);
  out = Put(out, verdict.queue);
  out = Put(out, verdict.colour);
  out = Put(out, verdict.tag_status);
  out = Put(out, verdict.predicted);
  out = Put(out, static_cast<std::uint8_t>((verdict.mirrored ? 1 : 0) | (verdict.used_prediction ? 2 : 0) |
                                           (verdict.punted ? 4 : 0) | (verdict.sharded ? 8 : 0)));
  out = Put(out, std::uint8_t{0});
  out = Put(out, verdict.rule);
  out = Put(out, verdict.tag_rule);
  out = Put(out, verdict.confidence);
  out = Put(out, verdict.vm);
  // 0 where nothing is changed.
  Put(out, static_cast<std::uint16_t>(verdict.change + 1u));
  return record;
}

}  // namespace foreflow::path
