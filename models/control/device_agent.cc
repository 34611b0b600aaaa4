// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/device_agent.h"

#include <algorithm>
#include <utility>

#include "models/control/rule_codec.h"

namespace foreflow::control {
namespace {

using wire::ControlType;
using wire::RefusalReason;

constexpr std::uint32_t kReceivedBits = 64;  // of an acknowledgement

// Whether two parts are of one batch.
bool Same(const wire::ControlRulePart& a, const wire::ControlRulePart& b) {
  return a.generation == b.generation && a.base == b.base && a.base_digest == b.base_digest &&
         a.digest == b.digest && a.parts == b.parts && a.batch_bytes == b.batch_bytes &&
         a.is_whole == b.is_whole;
}

// Whether a part agrees with itself: `tail` is its piece.
bool IsSound(const wire::ControlRulePart& part, std::size_t tail) {
  if (part.part >= part.parts || (part.parts > 1 && part.parts > part.batch_bytes)) return false;
  const std::uint64_t piece = PieceBytes(part.batch_bytes, part.parts);
  const std::uint64_t start = piece * part.part;
  if (start > part.batch_bytes) return false;
  return tail == std::min<std::uint64_t>(piece, part.batch_bytes - start);
}

DeviceRefusal Because(RefusalReason reason, const std::string& sentence = {},
                      std::uint32_t rule = wire::ControlRefusal::kNoRule) {
  return {reason, rule, sentence};
}

template <typename Body>
bool DecodeWhole(BytesView bytes, Body& body) {
  return wire::Decode(bytes.begin(), bytes.end(), body) == bytes.end();
}

std::uint32_t RightFor(ControlType type) {
  switch (type) {
    case ControlType::kRulePart:
      return kMayChangeRules;
    case ControlType::kKeyRotation:
      return kMayRotateKeys;
    case ControlType::kProfile:
      return kMaySendProfiles;
    case ControlType::kProfileRequest:
    case ControlType::kStatisticsRequest:
      return kMayReadStatistics;
    default:
      return 0;
  }
}

}  // namespace

DeviceAgent::DeviceAgent(const AgentConfig& config, const std::vector<rules::Rule>& initial,
                         ControlledDevice& device)
    : config_(config), device_(device), rules_(RuleSetState::Of(initial)), peers_(config.peers) {}

void DeviceAgent::Input(std::size_t peer, std::uint32_t rights, BytesView message, Nanos now,
                        const Send& send) {
  ++counts_.messages;
  counts_.bytes += message.size;
  wire::ControlHeader header;
  BytesView body;
  bool wrong_version = false;
  if (peer >= peers_.size() || !wire::ReadControlHeader(message, header, body, wrong_version)) {
    Refuse(wrong_version ? RefusalReason::kVersion : RefusalReason::kMalformed, send);
    return;
  }
  const std::uint32_t right = RightFor(header.type);
  if ((rights & right) != right) {
    RefuseUnread(RefusalReason::kForbidden, header.type, body, send);
    return;
  }
  Peer& from = peers_[peer];
  switch (header.type) {
    case ControlType::kHello: {
      wire::ControlHello hello;
      if (!DecodeWhole(body, hello)) break;
      hello = {config_.instance, generation_, rules_.digest(), config_.most_rules, config_.most_batch_bytes};
      send(builder_.Begin(ControlType::kHello, hello).Finish());
      return;
    }
    case ControlType::kRulePart:
      TakeRulePart(from, body, now, send);
      return;
    case ControlType::kKeyRotation:
      TakeRotation(from, body, now, send);
      return;
    case ControlType::kProfile:
      TakeProfile(from, body, send);
      return;
    case ControlType::kProfileRequest:
      TakeProfileRequest(body, send);
      return;
    case ControlType::kStatisticsRequest:
      TakeStatisticsRequest(body, send);
      return;
    case ControlType::kStatisticsReport:
    case ControlType::kAcknowledgement:
    case ControlType::kRefusal:
      break;  // a device sends these
  }
  Refuse(RefusalReason::kMalformed, send);
}

void DeviceAgent::TakeRulePart(Peer& peer, BytesView body, Nanos now, const Send& send) {
  wire::ControlRulePart part;
  const std::uint8_t* at = wire::Decode(body.begin(), body.end(), part);
  if (at == nullptr || !IsSound(part, static_cast<std::size_t>(body.end() - at))) {
    Refuse(RefusalReason::kMalformed, send);
    return;
  }
  if (part.batch_bytes > config_.most_batch_bytes) {
    Refuse(Because(RefusalReason::kTooLarge,
                   "a batch has at most " + std::to_string(config_.most_batch_bytes) + " bytes"),
           part.generation, 0, send);
    return;
  }
  const bool is_done = part.generation == generation_ && part.digest == rules_.digest();
  if (is_done) ++counts_.repeated;
  if (!is_done && part.generation <= generation_) {
    ++counts_.refused[static_cast<std::size_t>(RefusalReason::kStale)];
  } else if (!is_done && !part.is_whole &&
             (part.base != generation_ || part.base_digest != rules_.digest())) {
    ++counts_.refused[static_cast<std::size_t>(RefusalReason::kBase)];
  } else if (!is_done) {
    Assembly& assembly = peer.assembly;
    if (!assembly.is_open || !Same(assembly.description, part)) {
      // What is late of an older batch does not push out a newer one, unless that one has died.
      const bool is_older = assembly.is_open && part.generation < assembly.description.generation;
      if (is_older && now - assembly.last < config_.patience) {
        ++counts_.refused[static_cast<std::size_t>(RefusalReason::kStale)];
        Acknowledge(peer, send);
        return;
      }
      Begin(assembly, part);
    }
    assembly.last = now;
    if (assembly.has[part.part]) {
      ++counts_.repeated;
    } else {
      const std::size_t start = std::size_t{PieceBytes(part.batch_bytes, part.parts)} * part.part;
      std::copy(at, body.end(), assembly.bytes.begin() + static_cast<std::ptrdiff_t>(start));
      assembly.has[part.part] = true;
      ++assembly.count;
      while (assembly.first_missing < part.parts && assembly.has[assembly.first_missing])
        ++assembly.first_missing;
      if (assembly.count == part.parts) {
        Commit(assembly, peer, send);
        return;
      }
    }
  }
  // It tells what is in use, whether the part was of use or not.
  Acknowledge(peer, send);
}

void DeviceAgent::Begin(Assembly& assembly, const wire::ControlRulePart& part) {
  assembly.description = part;
  assembly.bytes.assign(part.batch_bytes, 0);
  assembly.has.assign(part.parts, false);
  assembly.first_missing = assembly.count = 0;
  assembly.is_open = true;
}

void DeviceAgent::Commit(Assembly& assembly, const Peer& peer, const Send& send) {
  const std::optional<DeviceRefusal> refusal = Apply(assembly);
  assembly.is_open = false;
  if (refusal) {
    Refuse(*refusal, assembly.description.generation, 0, send);
    return;
  }
  generation_ = assembly.description.generation;
  ++counts_.batches;
  Acknowledge(peer, send);
}

std::optional<DeviceRefusal> DeviceAgent::Apply(const Assembly& assembly) {
  std::vector<rules::RuleChange> changes;
  BytesView rest{assembly.bytes.data(), assembly.bytes.size()};
  while (rest.size > 0) {
    changes.emplace_back();
    const std::size_t length = Read(rest, changes.back());
    if (length == 0) return Because(RefusalReason::kMalformed, "a rule change cannot be read");
    rest = rest.From(length);
  }
  const auto refusal =
      assembly.description.is_whole ? ApplyWhole(assembly, changes) : ApplyChanges(assembly, changes);
  if (!refusal) counts_.changes += changes.size();
  return refusal;
}

std::optional<DeviceRefusal> DeviceAgent::ApplyChanges(const Assembly& assembly,
                                                       std::vector<rules::RuleChange>& changes) {
  std::vector<rules::RuleChange> undo;
  undo.reserve(changes.size());
  const auto go_back = [&](DeviceRefusal refusal) {
    for (auto change = undo.rbegin(); change != undo.rend(); ++change) rules_.Apply(*change);
    return std::optional<DeviceRefusal>(std::move(refusal));
  };
  for (const rules::RuleChange& change : changes) {
    rules::RuleChange inverse;
    if (!rules_.Apply(change, &inverse)) {
      return go_back(Because(
          RefusalReason::kRule,
          change.operation == rules::RuleOperation::kInsert ? "its id is there" : "its id is not there",
          change.rule.id));
    }
    undo.push_back(inverse);
  }
  if (rules_.size() > config_.most_rules) {
    return go_back(Because(RefusalReason::kTooLarge,
                           "the device has room for " + std::to_string(config_.most_rules) + " rules"));
  }
  if (rules_.digest() != assembly.description.digest) return go_back(Because(RefusalReason::kDigest));
  if (auto refusal = device_.Apply(changes, false, rules_, assembly.description.generation)) {
    return go_back(std::move(*refusal));
  }
  return std::nullopt;
}

std::optional<DeviceRefusal> DeviceAgent::ApplyWhole(const Assembly& assembly,
                                                     std::vector<rules::RuleChange>& changes) {
  if (changes.size() > config_.most_rules) {
    return Because(RefusalReason::kTooLarge,
                   "the device has room for " + std::to_string(config_.most_rules) + " rules");
  }
  RuleSetState next;
  for (const rules::RuleChange& change : changes) {
    if (change.operation != rules::RuleOperation::kInsert || !next.Apply(change)) {
      return Because(RefusalReason::kRule, "a whole set holds each id once", change.rule.id);
    }
  }
  if (next.digest() != assembly.description.digest) return Because(RefusalReason::kDigest);
  // The set that is in use already takes no packet's entry away.
  const bool is_same = next.digest() == rules_.digest();
  static const std::vector<rules::RuleChange> kNone;
  auto refusal = device_.Apply(is_same ? kNone : changes, !is_same, next, assembly.description.generation);
  if (!refusal) std::swap(rules_, next);
  return refusal;
}

void DeviceAgent::TakeRotation(Peer& peer, BytesView body, Nanos now, const Send& send) {
  wire::ControlKeyRotation rotation;
  if (!DecodeWhole(body, rotation)) {
    Refuse(RefusalReason::kMalformed, send);
  } else if (IsNew(peer, rotation.number, send)) {
    Finish(peer, rotation.number, device_.RotateKeys(rotation, now), send);
  }
}

void DeviceAgent::TakeProfile(Peer& peer, BytesView body, const Send& send) {
  wire::ControlProfile profile;
  const std::uint8_t* at = wire::Decode(body.begin(), body.end(), profile);
  std::vector<wire::ControlProfileRow> rows;
  if (at == nullptr || !ReadRows({at, static_cast<std::size_t>(body.end() - at)}, profile.rows, rows)) {
    Refuse(RefusalReason::kMalformed, send);
  } else if (IsNew(peer, profile.number, send)) {
    Finish(peer, profile.number, device_.TakeProfile(profile.vm, rows), send);
  }
}

void DeviceAgent::TakeProfileRequest(BytesView body, const Send& send) {
  wire::ControlProfileRequest request;
  if (!DecodeWhole(body, request)) {
    Refuse(RefusalReason::kMalformed, send);
    return;
  }
  std::vector<wire::ControlProfileRow> rows;
  if (const auto refusal = device_.ReadProfile(request.vm, kMostProfileRows, rows)) {
    Refuse(*refusal, 0, request.number, send);
    return;
  }
  ++counts_.requests;
  wire::ControlProfile profile;
  profile.number = request.number;
  profile.vm = request.vm;
  profile.rows = static_cast<std::uint16_t>(std::min(rows.size(), kMostProfileRows));
  builder_.Begin(ControlType::kProfile, profile);
  for (std::size_t i = 0; i < profile.rows; ++i) builder_.Add(rows[i]);
  send(builder_.Finish());
}

void DeviceAgent::TakeStatisticsRequest(BytesView body, const Send& send) {
  wire::ControlStatisticsRequest request;
  if (!DecodeWhole(body, request)) {
    Refuse(RefusalReason::kMalformed, send);
    return;
  }
  constexpr std::size_t kMostRows =
      (kMostMessageBytes - wire::ControlHeader::kBytes - wire::ControlStatisticsReport::kBytes) /
      wire::ControlStatisticsRow::kBytes;
  std::vector<wire::ControlStatisticsRow> rows;
  wire::ControlStatisticsReport report;
  if (const auto refusal =
          device_.ReadStatistics(request.kind, request.first, kMostRows, rows, report.next)) {
    Refuse(*refusal, 0, request.number, send);
    return;
  }
  ++counts_.requests;
  report.number = request.number;
  report.generation = generation_;
  report.kind = request.kind;
  report.rows = static_cast<std::uint16_t>(std::min(rows.size(), kMostRows));
  builder_.Begin(ControlType::kStatisticsReport, report);
  for (std::size_t i = 0; i < report.rows; ++i) builder_.Add(rows[i]);
  send(builder_.Finish());
}

bool DeviceAgent::IsNew(const Peer& peer, std::uint64_t number, const Send& send) {
  if (number > peer.number) return true;
  ++counts_.repeated;
  Acknowledge(peer, send);
  return false;
}

void DeviceAgent::Finish(Peer& peer, std::uint64_t number, const std::optional<DeviceRefusal>& refusal,
                         const Send& send) {
  if (refusal) {
    Refuse(*refusal, 0, number, send);
    return;
  }
  peer.number = number;
  ++counts_.requests;
  Acknowledge(peer, send);
}

// Every body begins with its generation or its request's number.
void DeviceAgent::RefuseUnread(RefusalReason reason, ControlType type, BytesView body, const Send& send) {
  const std::uint64_t first = body.size < 8 ? 0 : wire::Load64(body.data);
  const bool is_batch = type == ControlType::kRulePart;
  Refuse(Because(reason), is_batch ? first : 0, is_batch ? 0 : first, send);
}

void DeviceAgent::Acknowledge(const Peer& peer, const Send& send) {
  wire::ControlAcknowledgement ack;
  ack.instance = config_.instance;
  ack.generation = generation_;
  ack.digest = rules_.digest();
  ack.number = peer.number;
  const Assembly& assembly = peer.assembly;
  if (assembly.is_open) {
    ack.assembling = assembly.description.generation;
    ack.missing = assembly.first_missing;
    const std::uint32_t after = assembly.first_missing + 1;
    for (std::uint32_t i = 0; i < kReceivedBits && after + i < assembly.description.parts; ++i) {
      if (assembly.has[after + i]) ack.received |= std::uint64_t{1} << i;
    }
  }
  send(builder_.Begin(ControlType::kAcknowledgement, ack).Finish());
}

void DeviceAgent::Refuse(const DeviceRefusal& refusal, std::uint64_t generation, std::uint64_t number,
                         const Send& send) {
  ++counts_.refused[static_cast<std::size_t>(refusal.reason)];
  wire::ControlRefusal message;
  message.reason = refusal.reason;
  message.text_bytes =
      static_cast<std::uint8_t>(std::min(refusal.sentence.size(), wire::ControlRefusal::kMostText));
  message.generation = generation;
  message.number = number;
  message.rule = refusal.rule;
  send(builder_.Begin(ControlType::kRefusal, message)
           .Add(BytesView{reinterpret_cast<const std::uint8_t*>(refusal.sentence.data()), message.text_bytes})
           .Finish());
}

}  // namespace foreflow::control
