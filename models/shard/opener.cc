// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/opener.h"

#include <array>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {

const char* Name(OpenStatus status) {
  static constexpr std::array<const char*, kOpenStatuses> kNames = {
      "opened", "malformed", "unknown_session", "unknown_epoch", "replayed", "stale", "forged"};
  const auto index = static_cast<std::size_t>(status);
  return index < kNames.size() ? kNames[index] : nullptr;
}

Opener::Opener(const OpenerConfig& config) : mask_(config.sessions - 1) {
  const auto refuse = [](const char* key, std::size_t value, const char* allowed) {
    throw Refusal("fragment opener", key, std::to_string(value), allowed);
  };
  const auto is_power = [](std::size_t value) { return value != 0 && (value & (value - 1)) == 0; };
  if (!is_power(config.sessions) || config.sessions > 65536)
    refuse("sessions", config.sessions, "a power of two, 1 .. 65536");
  if (!is_power(config.replay_records) || config.replay_records < 128 || config.replay_records > (1u << 20))
    refuse("replay_records", config.replay_records, "a power of two, 128 .. 1048576");
  if (config.replay_time < Millis(1))
    throw Refusal("fragment opener", "replay_time", std::to_string(config.replay_time.count()) + " ns",
                  "1000000 ns or more");
  sessions_ = std::make_unique<Session[]>(config.sessions);
  for (std::size_t i = 0; i < config.sessions; ++i)
    sessions_[i].window.Resize(config.replay_records, config.replay_time);
}

Opener::~Opener() = default;

void Opener::Begin(std::uint32_t id) {
  Session& session = sessions_[IndexOf(id)];
  session.id = id;
  session.has_begun = true;
  session.window.Clear();
  session.keys.Clear();
}

EpochKeys* Opener::keys(std::uint32_t id) {
  Session& session = sessions_[IndexOf(id)];
  return session.has_begun && session.id == id ? &session.keys : nullptr;
}

OpenStatus Opener::Open(MutableBytes datagram, Nanos now, wire::ShardMessage& message, Work& work) {
  if (wire::ReadShardMessage(datagram, message) != wire::ShardFault::kNone) return OpenStatus::kMalformed;
  work.Add(WorkItem::kHeader);
  work.Add(WorkItem::kCacheLine);
  const wire::ShardHeader& header = message.header;
  Session& session = sessions_[IndexOf(header.session)];
  if (!session.has_begun || session.id != header.session) return OpenStatus::kUnknownSession;
  const crypto::AeadKey* const key = session.keys.Find(header.epoch);
  if (key == nullptr) return OpenStatus::kUnknownEpoch;
  switch (session.window.Look(header.number, now)) {
    case crypto::ReplayWindow::Verdict::kReplayed:
      return OpenStatus::kReplayed;
    case crypto::ReplayWindow::Verdict::kStale:
      return OpenStatus::kStale;
    case crypto::ReplayWindow::Verdict::kFresh:
      break;
  }
  std::uint8_t* const text = datagram.data + (message.sealed.data - datagram.data);
  if (!key->Open(ShardNonce(header.session, header.number), message.associated, message.sealed, message.tag,
                 text))
    return OpenStatus::kForged;
  session.window.Take(header.number);
  return OpenStatus::kOpened;
}

}  // namespace foreflow::shard
