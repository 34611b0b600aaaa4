// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_UNIT_HOST_H_
#define FOREFLOW_BINDINGS_DPDK_UNIT_HOST_H_

#include <cstdint>
#include <fstream>
#include <string>

#include "bindings/config/strict_json.h"
#include "bindings/dpdk/unit_link.h"
#include "bindings/dpdk/unit_stage.h"
#include "models/shard/session_keys.h"

namespace foreflow::dpdk {

// The host of a running unit: agrees on its keys with the peer's host, by packets that the unit carries.
// Called from the thread that set up, while the stage runs.
class UnitHost final : private shard::SessionKeysSink {
 public:
  // `stage` must outlive it. Keys are appended to the file `key_log` as well (shard::KeyLogLine), unless it
  // is empty. Throws Refusal as shard::SessionKeys does, and where the file cannot be had.
  UnitHost(const UnitLink& link, UnitStage& stage, const std::string& key_log);

  // To be called about each millisecond.
  void Poll();
  // Tells the peer that nobody is here any more.
  void Close();
  // {ready, begun, rekeyed, ignored, strangers, refused: by the unit, channel: {status: count}}.
  config::Json Report() const;

 private:
  void OnPacket(const crypto::ChannelAddress& to, BytesView packet) override;
  void OnBegin(std::size_t peer, std::uint32_t sending_session, std::uint32_t receiving_session) override;
  void OnReceivingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                      const std::uint8_t* key) override;
  void OnSendingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                    const std::uint8_t* key) override;
  void OnRetireKeys(std::size_t peer) override;
  void OnSessionEnd(std::size_t peer) override;
  void Do(const UnitOrder& order);
  void Install(UnitOrder::Kind kind, std::uint32_t session, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
               const std::uint8_t* key);
  Nanos Now();

  UnitLink link_;
  UnitStage& stage_;
  crypto::ChannelAddress peer_;
  shard::SessionKeys keys_;
  std::ofstream key_log_;
  std::uint32_t sending_session_ = 0;
  std::uint32_t receiving_session_ = 0;
  Nanos last_now_;
  bool is_seeking_ = false;
  std::uint64_t strangers_ = 0;  // packets of key agreement from elsewhere
  std::uint64_t refused_ = 0;    // orders
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_UNIT_HOST_H_
