// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/unit_host.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bindings/control/control_server.h"
#include "models/base/refusal.h"
#include "models/shard/key_log.h"

namespace foreflow::dpdk {
namespace {

// As a mapped IPv6 address.
crypto::ChannelAddress AddressOf(const wire::DatagramEnd& end) {
  crypto::ChannelAddress address;
  address.host[10] = address.host[11] = 0xff;
  std::copy(end.address.begin(), end.address.end(), address.host.begin() + 12);
  address.port = end.port;
  return address;
}

}  // namespace

UnitHost::UnitHost(const UnitLink& link, UnitStage& stage, const std::string& key_log)
    : link_(link),
      stage_(stage),
      peer_(AddressOf(link.peer)),
      keys_(link.keys, control::RandomSeed(), UnitStage::kSessionPlaces) {
  if (key_log.empty()) return;
  // Nobody else is to read it, whoever made it first.
  const int made = ::open(key_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (made >= 0) ::close(made);
  key_log_.open(key_log, std::ios::app);
  if (!key_log_) throw Refusal("command line: --key-log " + key_log + " cannot be written");
}

// UTC that does not run backwards.
Nanos UnitHost::Now() {
  last_now_ = std::max(last_now_, control::UtcNow());
  return last_now_;
}

void UnitHost::Poll() {
  if (!is_seeking_) {
    is_seeking_ = true;
    keys_.Connect(0, peer_, Now(), *this);
  }
  while (rte_mbuf* frame = stage_.TakeAgreement()) {
    const MutableBytes bytes = {rte_pktmbuf_mtod(frame, std::uint8_t*), frame->data_len};
    wire::Datagram datagram;
    Work work;
    wire::ReadDatagram(link_.own, bytes, datagram, work);  // it was one when the unit took it
    if (datagram.from.address == link_.peer.address) {
      keys_.Input({bytes.data + datagram.offset, datagram.size}, AddressOf(datagram.from), Now(), *this);
    } else {
      ++strangers_;
    }
    rte_pktmbuf_free(frame);
  }
  keys_.OnUse(0, stage_.sealed_bytes());
  keys_.Tick(Now(), *this);
}

void UnitHost::Close() { keys_.Close(Now(), *this); }

void UnitHost::OnPacket(const crypto::ChannelAddress& to, BytesView packet) {
  // Wherever a genuine packet came from, the peer is where it is known to be.
  if (to.host == peer_.host) stage_.SendAgreement(packet);
}

void UnitHost::OnBegin(std::size_t, std::uint32_t sending_session, std::uint32_t receiving_session) {
  sending_session_ = sending_session;
  receiving_session_ = receiving_session;
  UnitOrder order;
  order.kind = UnitOrder::Kind::kBegin;
  order.sending_session = sending_session;
  order.receiving_session = receiving_session;
  Do(order);
}

void UnitHost::OnReceivingKey(std::size_t, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                              const std::uint8_t* key) {
  Install(UnitOrder::Kind::kReceivingKey, receiving_session_, epoch, cipher, key);
}

void UnitHost::OnSendingKey(std::size_t, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                            const std::uint8_t* key) {
  Install(UnitOrder::Kind::kSendingKey, sending_session_, epoch, cipher, key);
}

void UnitHost::Install(UnitOrder::Kind kind, std::uint32_t session, std::uint8_t epoch,
                       crypto::AeadAlgorithm cipher, const std::uint8_t* key) {
  UnitOrder order;
  order.kind = kind;
  order.epoch = epoch;
  order.cipher = cipher;
  std::copy_n(key, crypto::AeadKeyBytes(cipher), order.key.data());
  Do(order);
  order.key.Erase();
  if (key_log_.is_open()) key_log_ << shard::KeyLogLine(session, epoch, cipher, key) << std::flush;
}

void UnitHost::OnRetireKeys(std::size_t) {
  UnitOrder order;
  order.kind = UnitOrder::Kind::kRetireKeys;
  Do(order);
}

void UnitHost::OnSessionEnd(std::size_t) {
  UnitOrder order;
  order.kind = UnitOrder::Kind::kEnd;
  Do(order);
}

void UnitHost::Do(const UnitOrder& order) {
  if (!stage_.Do(order)) ++refused_;
}

config::Json UnitHost::Report() const {
  const shard::SessionKeys::Counts& counts = keys_.counts();
  config::Json channel = config::Json::object();
  for (std::size_t i = 0; i < keys_.channel().size(); ++i) {
    channel[Name(static_cast<crypto::ChannelStatus>(i))] = keys_.channel()[i];
  }
  return {{"ready", keys_.IsReady(0)},    {"begun", counts.begun},   {"rekeyed", counts.rekeyed},
          {"ignored", counts.ignored},    {"strangers", strangers_}, {"refused", refused_},
          {"channel", std::move(channel)}};
}

}  // namespace foreflow::dpdk
