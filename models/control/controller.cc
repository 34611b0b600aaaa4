// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/controller.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "models/control/rule_codec.h"

namespace foreflow::control {
namespace {

using wire::ControlType;

constexpr std::size_t kPieceBytes =
    kMostMessageBytes - wire::ControlHeader::kBytes - wire::ControlRulePart::kBytes;
constexpr std::size_t kMostEvents = 4096;
constexpr int kMostDoublings = 16;
constexpr Nanos kNever{std::numeric_limits<std::int64_t>::max()};

Nanos Later(Nanos wait, Nanos first) { return std::min(wait * 2, first * kMostDoublings); }

template <typename Body>
bool DecodeWhole(BytesView bytes, Body& body) {
  return wire::Decode(bytes.begin(), bytes.end(), body) == bytes.end();
}

}  // namespace

Controller::Controller(const ControllerConfig& config, std::uint64_t instance)
    : config_(config), last_number_(instance) {}

bool Controller::Change(const rules::RuleChange& change) {
  if (!wanted_.Apply(change)) return false;
  touched_.insert(change.rule.id);
  has_wish_ = true;
  is_blocked_ = false;
  return true;
}

void Controller::Replace(const std::vector<rules::Rule>& rules) {
  RuleSetState next = RuleSetState::Of(rules);
  for (const auto& [id, entry] : wanted_.entries()) {
    if (next.Find(id) == nullptr) touched_.insert(id);
  }
  for (const auto& [id, entry] : next.entries()) {
    const RuleSetState::Entry* before = wanted_.Find(id);
    if (before == nullptr || !Same(*before, entry)) touched_.insert(id);
  }
  std::swap(wanted_, next);
  has_wish_ = true;
  is_blocked_ = false;
}

std::uint64_t Controller::Queue(std::uint64_t number, BytesView message) {
  if (requests_.size() >= config_.most_requests) return 0;
  last_number_ = number;
  requests_.push_back({number, {message.begin(), message.end()}});
  return number;
}

std::uint64_t Controller::RotateKeys(wire::ControlKeyRotation rotation) {
  rotation.number = last_number_ + 1;
  return Queue(rotation.number, builder_.Begin(ControlType::kKeyRotation, rotation).Finish());
}

std::uint64_t Controller::SendProfile(std::uint16_t vm, const std::vector<wire::ControlProfileRow>& rows) {
  wire::ControlProfile profile;
  profile.number = last_number_ + 1;
  profile.vm = vm;
  profile.rows = static_cast<std::uint16_t>(rows.size());
  builder_.Begin(ControlType::kProfile, profile);
  if (builder_.Room() < rows.size() * wire::ControlProfileRow::kBytes) return 0;
  for (const wire::ControlProfileRow& row : rows) builder_.Add(row);
  return Queue(profile.number, builder_.Finish());
}

std::uint64_t Controller::ReadProfile(std::uint16_t vm) {
  wire::ControlProfileRequest request;
  request.number = last_number_ + 1;
  request.vm = vm;
  return Queue(request.number, builder_.Begin(ControlType::kProfileRequest, request).Finish());
}

std::uint64_t Controller::ReadStatistics(wire::StatisticsKind kind, std::uint32_t first) {
  wire::ControlStatisticsRequest request;
  request.number = last_number_ + 1;
  request.kind = kind;
  request.first = first;
  return Queue(request.number, builder_.Begin(ControlType::kStatisticsRequest, request).Finish());
}

void Controller::SendMessage(BytesView message, const Send& send) {
  ++counts_.messages;
  counts_.bytes += message.size;
  send(message);
}

void Controller::Connected(Nanos now, const Send& send) {
  is_connected_ = true;
  has_heard_ = false;
  hello_wait_ = config_.retransmit;
  SayHello(now, send);
}

void Controller::Disconnected() {
  is_connected_ = false;
  has_heard_ = false;
}

void Controller::SayHello(Nanos now, const Send& send) {
  wire::ControlHello hello;
  hello.instance = last_number_;
  hello.generation = held_generation_;
  hello.digest = wanted_.digest();
  SendMessage(builder_.Begin(ControlType::kHello, hello).Finish(), send);
  next_hello_ = now + hello_wait_;
  hello_wait_ = Later(hello_wait_, config_.retransmit);
}

void Controller::Input(BytesView message, Nanos now, const Send& send) {
  wire::ControlHeader header;
  BytesView body;
  bool wrong_version = false;
  if (!wire::ReadControlHeader(message, header, body, wrong_version)) {
    ++counts_.malformed;
    return;
  }
  next_hello_ = now + config_.hello_interval;
  hello_wait_ = config_.retransmit;
  switch (header.type) {
    case ControlType::kHello: {
      wire::ControlHello hello;
      if (!DecodeWhole(body, hello)) break;
      most_rules_ = hello.most_rules;
      has_heard_ = true;
      LearnState(hello.instance, hello.generation, hello.digest, now);
      Tick(now, send);
      return;
    }
    case ControlType::kAcknowledgement:
      TakeAcknowledgement(body, now, send);
      return;
    case ControlType::kRefusal:
      TakeRefusal(body, now, send);
      return;
    case ControlType::kStatisticsReport:
      TakeReport(body, now, send);
      return;
    case ControlType::kProfile:
      TakeProfile(body, now, send);
      return;
    case ControlType::kRulePart:
    case ControlType::kKeyRotation:
    case ControlType::kProfileRequest:
    case ControlType::kStatisticsRequest:
      break;  // a controller sends these
  }
  ++counts_.malformed;
}

void Controller::LearnState(std::uint64_t instance, std::uint64_t generation, const wire::SetDigest& digest,
                            Nanos now) {
  if (flight_ && generation == flight_->description.generation && digest == flight_->description.digest) {
    device_instance_ = instance;
    Land();
    return;
  }
  const bool is_same_device = has_state_ && instance == device_instance_;
  device_instance_ = instance;
  if (flight_ && !is_same_device) Restart(*flight_);
  if (has_state_ && generation == held_generation_ && digest == held_digest_) return;
  // Said before what it said last.
  if (is_same_device && generation < held_generation_) return;
  Cancel();
  has_state_ = true;
  held_generation_ = generation;
  held_digest_ = digest;
  is_known_ = false;
  next_batch_ = now;
}

void Controller::Adopt() {
  if (is_known_ || !has_state_ || !has_wish_ || flight_ || held_digest_ != wanted_.digest()) return;
  held_ = wanted_;
  is_known_ = true;
  touched_.clear();
  events_.push_back({});
  events_.back().generation = held_generation_;
}

void Controller::Land() {
  if (flight_->description.is_whole) held_.Clear();
  for (const rules::RuleChange& change : flight_->changes) held_.Apply(change);
  held_generation_ = flight_->description.generation;
  held_digest_ = flight_->description.digest;
  has_state_ = is_known_ = true;
  flight_.reset();
  events_.push_back({});
  events_.back().generation = held_generation_;
}

void Controller::Cancel() {
  if (!flight_) return;
  if (flight_->description.is_whole) {
    is_known_ = false;  // what differs from the device's rules is not known any more
  } else {
    for (const rules::RuleChange& change : flight_->changes) touched_.insert(change.rule.id);
  }
  flight_.reset();
}

void Controller::TakeAcknowledgement(BytesView body, Nanos now, const Send& send) {
  wire::ControlAcknowledgement ack;
  if (!DecodeWhole(body, ack)) {
    ++counts_.malformed;
    return;
  }
  if (!has_heard_) return;  // of an earlier channel; hello is under way
  LearnState(ack.instance, ack.generation, ack.digest, now);
  if (flight_ && ack.assembling == flight_->description.generation &&
      ack.missing < flight_->description.parts) {
    Flight& flight = *flight_;
    bool is_news = false;
    const auto mark = [&](std::uint32_t part) {
      is_news = is_news || !flight.has[part];
      flight.has[part] = true;
    };
    for (std::uint32_t part = flight.missing; part < ack.missing; ++part) mark(part);
    for (std::uint32_t i = 0; i < 64 && ack.missing + 1 + i < flight.description.parts; ++i) {
      if ((ack.received >> i & 1) != 0) mark(ack.missing + 1 + i);
    }
    while (flight.missing < flight.description.parts && flight.has[flight.missing]) ++flight.missing;
    if (is_news) {
      flight.wait = config_.retransmit;
      flight.again = now + flight.wait;
      SendParts(now, send);
    }
  }
  while (!requests_.empty() && requests_.front().number <= ack.number) {
    // Only those that ask for nothing but to be done are answered so.
    events_.push_back({});
    events_.back().kind = ControllerEvent::Kind::kDone;
    events_.back().number = requests_.front().number;
    FinishRequest();
  }
  Tick(now, send);
}

void Controller::TakeRefusal(BytesView body, Nanos now, const Send& send) {
  wire::ControlRefusal refusal;
  const std::uint8_t* at = wire::Decode(body.begin(), body.end(), refusal);
  if (at == nullptr || body.end() - at != refusal.text_bytes) {
    ++counts_.malformed;
    return;
  }
  ++counts_.refused;
  const bool is_batch = flight_ && refusal.generation == flight_->description.generation;
  const bool is_request = !requests_.empty() && refusal.number == requests_.front().number;
  // What may not be said at all comes back without saying what it was.
  const bool is_forbidden = refusal.generation == 0 && refusal.number == 0;
  if (is_batch || is_request || is_forbidden) {
    ControllerEvent event;
    event.kind = ControllerEvent::Kind::kRefused;
    event.generation = refusal.generation;
    event.number = refusal.number;
    event.refusal = refusal;
    event.sentence.assign(reinterpret_cast<const char*>(at), refusal.text_bytes);
    events_.push_back(std::move(event));
  }
  if (is_batch) {
    Cancel();
    is_blocked_ = true;
  }
  if (is_request) FinishRequest();
  Tick(now, send);
}

void Controller::TakeReport(BytesView body, Nanos now, const Send& send) {
  ControllerEvent event;
  event.kind = ControllerEvent::Kind::kReport;
  const std::uint8_t* at = wire::Decode(body.begin(), body.end(), event.report);
  if (at == nullptr ||
      !ReadRows({at, static_cast<std::size_t>(body.end() - at)}, event.report.rows, event.rows)) {
    ++counts_.malformed;
    return;
  }
  event.number = event.report.number;
  event.generation = event.report.generation;
  TakeAnswer(std::move(event), now, send);
}

void Controller::TakeProfile(BytesView body, Nanos now, const Send& send) {
  ControllerEvent event;
  event.kind = ControllerEvent::Kind::kProfile;
  wire::ControlProfile profile;
  const std::uint8_t* at = wire::Decode(body.begin(), body.end(), profile);
  if (at == nullptr ||
      !ReadRows({at, static_cast<std::size_t>(body.end() - at)}, profile.rows, event.profile)) {
    ++counts_.malformed;
    return;
  }
  event.number = profile.number;
  event.vm = profile.vm;
  TakeAnswer(std::move(event), now, send);
}

void Controller::TakeAnswer(ControllerEvent event, Nanos now, const Send& send) {
  if (requests_.empty() || event.number != requests_.front().number) return;  // answered before
  events_.push_back(std::move(event));
  FinishRequest();
  Tick(now, send);
}

bool Controller::IsInForce() const {
  const wire::SetDigest wanted = wanted_.digest();
  return is_known_ && held_.digest() == wanted && (!flight_ || flight_->description.digest == wanted);
}

bool Controller::WantsBatch() const {
  if (flight_ || !has_wish_ || is_blocked_ || !has_heard_) return false;
  return config_.is_constant_work || !is_known_ || held_.digest() != wanted_.digest();
}

void Controller::Issue(Nanos now, const Send& send) {
  Flight flight;
  wire::ControlRulePart& description = flight.description;
  description.generation = std::max(last_issued_, held_generation_) + 1;
  description.digest = wanted_.digest();
  description.is_whole = config_.is_constant_work || !is_known_;
  if (description.is_whole) {
    for (const auto& [id, entry] : wanted_.entries()) {
      flight.changes.push_back({rules::RuleOperation::kInsert, entry.rule});
    }
    ++counts_.whole;
  } else {
    description.base = held_generation_;
    description.base_digest = held_.digest();
    for (const std::uint32_t id : touched_) {
      const RuleSetState::Entry* wanted = wanted_.Find(id);
      const RuleSetState::Entry* held = held_.Find(id);
      if (wanted == nullptr && held != nullptr) {
        flight.changes.push_back({rules::RuleOperation::kErase, held->rule});
      } else if (wanted != nullptr && held == nullptr) {
        flight.changes.push_back({rules::RuleOperation::kInsert, wanted->rule});
      } else if (wanted != nullptr && !Same(*wanted, *held)) {
        flight.changes.push_back({rules::RuleOperation::kModify, wanted->rule});
      }
    }
  }
  touched_.clear();
  for (const rules::RuleChange& change : flight.changes) Append(change, flight.bytes);
  description.batch_bytes = static_cast<std::uint32_t>(flight.bytes.size());
  description.parts = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, (flight.bytes.size() + kPieceBytes - 1) / kPieceBytes));
  flight.has.assign(description.parts, false);
  flight.wait = config_.retransmit;
  flight.again = now + flight.wait;
  last_issued_ = description.generation;
  next_batch_ = now + config_.update_interval;
  ++counts_.batches;
  flight_ = std::move(flight);
  SendParts(now, send);
}

// As if no part had left yet: the device has forgotten them.
void Controller::Restart(Flight& flight) {
  flight.has.assign(flight.description.parts, false);
  flight.missing = flight.next = 0;
  flight.again = Nanos(0);
}

void Controller::SendParts(Nanos now, const Send& send) {
  Flight& flight = *flight_;
  const std::uint64_t end =
      std::min<std::uint64_t>(flight.description.parts, std::uint64_t{flight.missing} + config_.window);
  for (; flight.next < end; ++flight.next) {
    SendPart(flight.next, send);
    flight.again = now + flight.wait;
  }
}

void Controller::SendPart(std::uint32_t part, const Send& send) {
  const Flight& flight = *flight_;
  wire::ControlRulePart head = flight.description;
  head.part = part;
  const std::size_t piece = PieceBytes(head.batch_bytes, head.parts);
  const BytesView bytes{flight.bytes.data(), flight.bytes.size()};
  ++counts_.parts;
  SendMessage(
      builder_.Begin(ControlType::kRulePart, head).Add(bytes.From(piece * part).First(piece)).Finish(), send);
}

void Controller::SendAgain(Nanos now, const Send& send) {
  Flight& flight = *flight_;
  // Nothing new was heard for several times: a device keeps a batch only for so long.
  if (flight.wait >= config_.retransmit * 4) Restart(flight);
  for (std::uint32_t part = flight.missing; part < flight.next; ++part) {
    if (!flight.has[part]) SendPart(part, send);
  }
  SendParts(now, send);
  flight.wait = Later(flight.wait, config_.retransmit);
  flight.again = now + flight.wait;
}

void Controller::SendRequest(Nanos now, const Send& send) {
  if (request_wait_ == Nanos(0)) request_wait_ = config_.retransmit;
  const std::vector<std::uint8_t>& message = requests_.front().message;
  SendMessage({message.data(), message.size()}, send);
  request_again_ = now + request_wait_;
  request_wait_ = Later(request_wait_, config_.retransmit);
}

void Controller::FinishRequest() {
  requests_.pop_front();
  request_again_ = request_wait_ = Nanos(0);
}

void Controller::Tick(Nanos now, const Send& send) {
  while (events_.size() > kMostEvents) events_.pop_front();
  if (!is_connected_) return;
  if (flight_ && has_heard_ && now >= flight_->again) SendAgain(now, send);
  Adopt();
  if (WantsBatch() && now >= next_batch_) Issue(now, send);
  if (!requests_.empty() && has_heard_ && now >= request_again_) SendRequest(now, send);
  if (now >= next_hello_) SayHello(now, send);
}

Nanos Controller::NextTick() const {
  if (!is_connected_) return kNever;
  Nanos next = next_hello_;
  if (flight_ && has_heard_) next = std::min(next, flight_->again);
  if (WantsBatch()) next = std::min(next, next_batch_);
  if (!requests_.empty() && has_heard_) next = std::min(next, request_again_);
  return next;
}

bool Controller::TakeEvent(ControllerEvent& event) {
  if (events_.empty()) return false;
  event = std::move(events_.front());
  events_.pop_front();
  return true;
}

}  // namespace foreflow::control
