// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_TEST_LINK_H_
#define FOREFLOW_MODELS_SHARD_TEST_LINK_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/feedback.h"
#include "models/shard/test_pair.h"

namespace foreflow::shard {

struct LinkConfig {
  GapRule rule = GapRule::kRack;
  double loss = 0;   // of fragments
  double burst = 1;  // mean of fragments lost side by side
  double late = 0;   // of fragments: 0.3 to 1 ms more
  Nanos one_way = Millis(1);
  std::size_t packets = 2000;  // of 1400 B, one each 200 us
  std::size_t fragment_bytes = 350;
  bool has_repair = false;  // 300 us after the others
  std::uint64_t seed = 1;
};

struct LinkResult {
  std::uint64_t packets = 0, delivered = 0, wrong = 0;
  std::uint64_t requests = 0, spurious = 0, early = 0, in_vain = 0;
  std::uint64_t sent_bytes = 0, resent_bytes = 0;
  Nanos smoothed;
  Nanos p99;            // from sending to being whole, of what was delivered
  Nanos mean_repaired;  // of those packets some of which was lost
};

// Both ends of a session whole, over a link in virtual time: packets one way, feedback the other, in steps of
// 10 us.
class TestLink final : public PacketSink, public ResendSink {
 public:
  explicit TestLink(const LinkConfig& config)
      : config_(config),
        rng_(config.seed, "test_link"),
        sender_(0),
        answer_(1),
        receiver_(Opening(), Holding()),
        gaps_(Gaps(config)),
        buffer_(RetransmissionConfig{}) {
    receiver_.Begin(0);
    answers_.Begin(1);
    answers_.keys(1)->Install(0, kTestCipher, TestKey(0).data());
  }

  LinkResult Run() {
    std::size_t sent = 0;
    const Nanos end = Micros(200) * static_cast<std::int64_t>(config_.packets) + Millis(400);
    for (now_ = Micros(10); now_ < end; now_ += Micros(10)) {
      if (sent < config_.packets && now_ >= Micros(200) * static_cast<std::int64_t>(sent + 1)) {
        SendPacket();
        ++sent;
      }
      for (; !repairs_.empty() && repairs_.begin()->first <= now_; repairs_.erase(repairs_.begin())) {
        const std::uint64_t packet = repairs_.begin()->second;
        const std::uint64_t number = sender_.sharder.next_number();
        if (const auto datagram = sender_.Repair(cuts_[packet], packets_[packet], now_)) {
          buffer_.OnSent(number, SentKind::kRepair, packet, 0, datagram->size(), now_, work_);
          Transmit(*datagram, cuts_[packet].base);
        }
      }
      for (; !forth_.empty() && forth_.begin()->first <= now_; forth_.erase(forth_.begin()))
        Receive(forth_.begin()->second);
      Answer();
      for (; !back_.empty() && back_.begin()->first <= now_; back_.erase(back_.begin()))
        ReadAnswer(back_.begin()->second);
      RetransmissionBuffer::Resend resend;
      if (config_.rule != GapRule::kNone && monitor_.smoothed() > Nanos() &&
          buffer_.TailProbe(monitor_.smoothed(), now_, resend, work_))
        OnResend(resend);
      buffer_.Expire(now_, *this);
    }
    LinkResult result;
    result.packets = sent;
    result.delivered = times_.size();
    result.wrong = wrong_;
    result.requests = gaps_.counts().requests;
    result.spurious = gaps_.counts().spurious;
    result.early = gaps_.predictor().early();
    result.in_vain = gaps_.predictor().in_vain();
    result.sent_bytes = buffer_.sent_bytes();
    result.resent_bytes = buffer_.resent_bytes();
    result.smoothed = monitor_.smoothed();
    std::sort(times_.begin(), times_.end());
    if (!times_.empty()) result.p99 = times_[times_.size() * 99 / 100];
    Nanos sum;
    for (const Nanos time : repaired_) sum += time;
    if (!repaired_.empty()) result.mean_repaired = sum / static_cast<std::int64_t>(repaired_.size());
    return result;
  }

  void OnReleased(FragmentHandle) override {}
  void OnResend(const RetransmissionBuffer::Resend& resend) override {
    const std::uint64_t number = sender_.sharder.next_number();
    const auto datagram = sender_.Again(resend.cut, resend.index, packets_[resend.handle], now_);
    if (!datagram) return;
    buffer_.OnSent(number, SentKind::kFragment, resend.packet, resend.index, datagram->size(), now_, work_);
    Transmit(*datagram, resend.cut.base);
  }

 private:
  static OpenerConfig Opening() {
    OpenerConfig config;
    config.sessions = 2;
    return config;
  }
  static ReassemblerConfig Holding() {
    ReassemblerConfig config;
    config.sessions = 2;
    config.longest = Millis(50);
    return config;
  }
  static GapDetectorConfig Gaps(const LinkConfig& link) {
    GapDetectorConfig config;
    config.rule = link.rule;
    return config;
  }

  void SendPacket() {
    const std::uint64_t index = packets_.size();
    packets_.push_back(RandomPacket(rng_, 1400));
    std::vector<Raw> datagrams;
    const PacketCut cut = sender_.Split(packets_.back(), config_.fragment_bytes, now_, datagrams);
    cuts_.push_back(cut);
    sent_at_[cut.base] = {index, now_};
    const auto held = buffer_.Hold(cut, index, now_, *this, work_);
    for (std::size_t i = 0; i < datagrams.size(); ++i) {
      buffer_.OnSent(cut.base + i, SentKind::kFragment, held, i, datagrams[i].size(), now_, work_);
      Transmit(datagrams[i], cut.base);
    }
    if (config_.has_repair) repairs_.emplace(now_ + Micros(300), index);
  }
  void Transmit(const Raw& datagram, std::uint64_t base) {
    // Gilbert: from bad to good by 1 / burst, the share of bad is `loss`.
    const double to_good = 1 / config_.burst;
    const double to_bad = config_.loss / (1 - config_.loss) * to_good;
    is_bad_ = config_.burst > 1 ? rng_.Real() < (is_bad_ ? 1 - to_good : to_bad) : rng_.Real() < config_.loss;
    const bool is_lost = is_bad_;
    if (is_lost) lossy_.insert(base);
    const bool is_late = rng_.Real() < config_.late;
    const Nanos more = Micros(300 + rng_.Below(700));
    if (!is_lost) forth_.emplace(now_ + config_.one_way + (is_late ? more : Nanos()), datagram);
  }
  void Receive(const Raw& datagram) {
    TestReceiver::Result result = receiver_.Input(datagram, now_);
    if (result.status != OpenStatus::kOpened) return;
    const wire::ShardMessage& message = result.message;
    gaps_.OnNumber(message.header.number, now_, work_);
    const std::uint64_t base = message.base();
    if (message.header.type == wire::ShardType::kData) {
      if (message.header.number != base + message.fragment.index)
        gaps_.OnSentAgain(base + message.fragment.index, now_);
      gaps_.Expect(base + message.fragment.total - 1, now_);
    }
    writer_.OnMessage(message.header.number, datagram.size(), message.fragment.sent_us, false, false, now_);
    if (!result.packet) return;
    const auto& [index, at] = sent_at_[base];
    if (*result.packet != packets_[index]) ++wrong_;
    times_.push_back(now_ - at);
    if (lossy_.count(base) != 0) repaired_.push_back(now_ - at);
  }
  void Answer() {
    gaps_.SetRoundTrip(config_.one_way * 2, config_.one_way * 2);
    Raw text(1000);
    const std::size_t bytes = writer_.Write(gaps_, now_, {text.data(), text.size()}, work_);
    if (bytes == 0) return;
    Raw datagram(1200);
    datagram.resize(answer_.sharder.SealMessage(wire::ShardType::kFeedback, {text.data(), bytes},
                                                {datagram.data(), datagram.size()}, work_));
    if (rng_.Real() >= config_.loss) back_.emplace(now_ + config_.one_way, datagram);
  }
  void ReadAnswer(Raw datagram) {
    wire::ShardMessage message;
    if (answers_.Open({datagram.data(), datagram.size()}, now_, message, work_) != OpenStatus::kOpened) {
      ++wrong_;
      return;
    }
    reader_.Read(message.header.number, message.sealed, sender_.sharder.next_number(), now_, buffer_,
                 monitor_, mtu_, *this, *this, work_);
  }

  LinkConfig config_;
  Rng rng_;
  TestSender sender_, answer_;
  TestReceiver receiver_;
  Opener answers_{Opening()};
  GapDetector gaps_;
  FeedbackWriter writer_{FeedbackConfig{}};
  FeedbackReader reader_;
  RetransmissionBuffer buffer_;
  CongestionMonitor monitor_{CongestionMonitorConfig{}};
  PathMtu mtu_{PathMtuConfig{}};
  Work work_;
  Nanos now_;
  std::vector<Raw> packets_;
  std::vector<PacketCut> cuts_;
  std::map<std::uint64_t, std::pair<std::uint64_t, Nanos>> sent_at_;  // by base
  std::multimap<Nanos, Raw> forth_, back_;
  std::multimap<Nanos, std::uint64_t> repairs_;
  std::vector<Nanos> times_;
  std::set<std::uint64_t> lossy_;  // packets, some of which was lost
  std::vector<Nanos> repaired_;
  bool is_bad_ = false;
  std::uint64_t wrong_ = 0;
};

inline LinkResult RunLink(const LinkConfig& config) { return TestLink(config).Run(); }

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_TEST_LINK_H_
