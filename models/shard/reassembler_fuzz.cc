// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/reassembler.h"

#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <set>
#include <utility>

namespace {

using namespace foreflow;
using namespace foreflow::shard;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Sink final : FragmentSink {
  void OnDropped(FragmentHandle fragment, FragmentFate) override { Require(out.erase(fragment) == 1); }
  std::set<FragmentHandle> out;
};

}  // namespace

// Input: 2 B of configuration, then operations of 6 B. Every handle that goes in comes out once, each packet
// is whole once, and nothing grows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  ReassemblerConfig config;
  config.sessions = 1 + data[0] % 3;
  config.slots = 2u << data[0] / 64;
  config.most_fragments = 1 + data[1] % 6;
  config.held = config.sessions * (config.most_fragments + 2) + data[1] / 64;
  config.least_fragment_bytes = 4;
  config.longest = Millis(4);
  config.tick = Nanos(7);
  Reassembler reassembler(config);
  Sink sink;
  std::set<std::pair<std::size_t, std::uint64_t>> whole_once;
  Work work;
  FragmentHandle handle = 0;
  std::uint64_t calls = 0;
  Nanos now;
  for (std::size_t at = 2; at + 6 <= size; at += 6) {
    const std::uint8_t* const operation = data + at;
    const std::size_t session = operation[1] % config.sessions;
    if (operation[0] < 40) {
      // Times jump, and go back.
      now = operation[0] == 0 ? Nanos() : now + Micros(operation[2]) * operation[3];
      reassembler.Expire(now, sink, work);
    } else if (operation[0] == 40) {
      reassembler.Forget(session, sink, work);
      for (auto it = whole_once.begin(); it != whole_once.end();)
        it = it->first == session ? whole_once.erase(it) : std::next(it);
    } else if (operation[0] == 41) {
      reassembler.SetTime(session, Nanos(operation[2]) * 100'000);
    } else {
      ArrivedFragment fragment;
      fragment.session = session;
      fragment.base = operation[2] | std::uint64_t{operation[0] % 4u} << 62;
      fragment.header.total = static_cast<std::uint8_t>(1 + operation[3] % 8);
      fragment.header.index = static_cast<std::uint8_t>(operation[4] % fragment.header.total);
      fragment.header.length = static_cast<std::uint16_t>(20 + operation[5] % 40);
      fragment.epoch = operation[5] / 128;
      fragment.is_repair = operation[4] >= 240;
      fragment.ecn = operation[4] / 60 % 4;
      fragment.handle = ++handle;
      ++calls;
      sink.out.insert(handle);
      WholePacket whole;
      const FragmentFate fate = reassembler.Input(fragment, now, whole, sink, work);
      if (fate == FragmentFate::kDelivered) {
        Require(whole_once.emplace(session, fragment.base).second);
        for (std::size_t i = 0; i < whole.total; ++i)
          if (i != whole.missing) Require(sink.out.erase(whole.fragments[i]) == 1);
        if (whole.has_repair) Require(sink.out.erase(whole.repair) == 1);
        Require(whole.missing == WholePacket::kNone || whole.has_repair);
      } else if (fate != FragmentFate::kHeld && fate != FragmentFate::kEcnMixed) {
        sink.out.erase(handle);
      }
    }
    Require(sink.out.size() == reassembler.held() && reassembler.held() <= config.held);
    std::size_t held = 0;
    for (std::size_t i = 0; i < config.sessions; ++i) held += reassembler.held_of(i);
    Require(held == reassembler.held());
    const auto& counts = reassembler.counts();
    Require(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) == calls);
  }
  return 0;
}
