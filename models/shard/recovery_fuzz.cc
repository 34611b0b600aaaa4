// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstdlib>
#include <map>
#include <vector>

#include "models/shard/feedback.h"

namespace {

using namespace foreflow;
using namespace foreflow::shard;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Sink final : PacketSink, ResendSink {
  void OnReleased(FragmentHandle) override {
    Require(held > 0);
    --held;
  }
  void OnResend(const RetransmissionBuffer::Resend& resend) override { resends.push_back(resend); }
  std::size_t held = 0;
  std::vector<RetransmissionBuffer::Resend> resends;
};

}  // namespace

// Both halves of recovery under whatever a network and a peer do. The first byte chooses the rule; operations
// of 4 B follow. No number is asked for more often than is allowed, feedback that is written can be read, and
// a peer that asks without end gets no more than the budget.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  GapDetectorConfig config;
  config.rule = static_cast<GapRule>(data[0] % 5);
  config.numbers = 128;
  config.gaps = 1 + data[0] / 5;
  config.asks = 2;
  config.paths = 2;
  GapDetector gaps(config);
  FeedbackWriter writer{FeedbackConfig{}};
  FeedbackReader reader;
  RetransmissionConfig holding;
  holding.numbers = 128;
  holding.packets = 8;
  holding.resend_burst = 3000;
  RetransmissionBuffer buffer(holding);
  std::vector<KnownPath> paths(2, KnownPath(CongestionMonitorConfig{}, PathMtuConfig{}));
  Sink sink;
  std::map<std::uint64_t, unsigned> asked;
  std::uint64_t sent = 0, feedback = 0, number = 0;
  std::vector<std::uint8_t> text(1000);
  Work work;
  Nanos now;
  for (std::size_t at = 1; at + 4 <= size; at += 4) {
    const std::uint8_t* const operation = data + at;
    const std::uint64_t back = operation[1] % 140u;
    switch (operation[0] % 8) {
      case 0:
        now += Micros(operation[1]) * operation[2];
        buffer.Expire(now, sink);
        break;
      case 1:
      case 2: {
        PacketCut cut;
        cut.base = sent;
        cut.total = static_cast<std::uint8_t>(1 + operation[1] % 5);
        cut.length = static_cast<std::uint16_t>(100u * cut.total);
        ++sink.held;
        const auto packet = buffer.Hold(cut, static_cast<FragmentHandle>(sent), now, sink, work);
        for (std::size_t i = 0; i < cut.total; ++i)
          buffer.OnSent(sent++, SentKind::kFragment, packet, i, 140, now, work);
        break;
      }
      case 3:
      case 4:
        if (sent > back) {
          SentBy by;
          by.is_only = operation[0] < 128;
          by.path.path = operation[3] % 4;
          by.path.same = operation[2] * 0x1010101u & wire::PathHeader::kAll;
          gaps.OnNumber(sent - 1 - back, now, work, by);
          writer.OnMessage(sent - 1 - back, 140, SentStamp(now), operation[2] == 0, operation[3] == 7, now,
                           by);
        }
        if (operation[2] > 128 && sent > 0) gaps.Expect(sent - 1 + operation[3], now);
        break;
      case 5:
        gaps.SetRoundTrip(Micros(operation[1]), Micros(operation[2] * 10), operation[3] % 2);
        if (sent > back) gaps.OnSentAgain(sent - 1 - back, now);
        break;
      case 6: {
        // Written by us, read by us; with the last byte, changed on the way by a peer that lies.
        const std::size_t bytes = writer.Write(gaps, now, {text.data(), text.size()}, work);
        wire::FeedbackRows rows;
        if (bytes != 0) Require(wire::ReadFeedback({text.data(), bytes}, rows));
        if (bytes != 0 && operation[3] != 0) text[operation[1] % bytes] = operation[2];
        reader.Read(++feedback, {text.data(), bytes}, sent, now, buffer, paths, sink, sink, work);
        for (const RetransmissionBuffer::Resend& resend : sink.resends)
          buffer.OnSent(sent++, SentKind::kFragment, resend.packet, resend.index, 140, now, work);
        sink.resends.clear();
        break;
      }
      default:
        while (gaps.NextAsk(now, number, work)) Require(++asked[number] <= config.asks);
    }
    Require(sink.held == buffer.held() && buffer.held() <= holding.packets);
    Require(buffer.resent_bytes() <= holding.resend_burst + buffer.sent_bytes() / 4);
  }
  return 0;
}
