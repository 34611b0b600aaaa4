// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_UNIT_LINK_H_
#define FOREFLOW_BINDINGS_DPDK_UNIT_LINK_H_

#include <string>

#include "models/shard/session_keys.h"
#include "models/shard/unit.h"
#include "models/wire/datagram.h"

namespace foreflow::dpdk {

// Where a packet dynamics unit's datagrams go to and come from, and how the hosts agree on keys.
struct UnitLink {
  wire::DatagramEnd own;
  wire::DatagramEnd peer;
  shard::SessionKeysConfig keys;  // of one peer; the own key only after LoadUnitLink
  std::string key_file;
  shard::UnitConfig unit;
};

// {"own": {"mac", "address", "port"}, "peer": {the same, "public_key": 64 hex digits}, "key_file": path,
//  "cipher": aes_128_gcm | aes_256_gcm | chacha20_poly1305, "rekey_s", "rekey_mb", "overlap_ms",
//  "unit": as config::ReadUnit has it}
// The last five may be left out: AES-256-GCM where this machine runs it, else ChaCha20-Poly1305, and the
// defaults of the structs. Throws Refusal where something is missing, unknown, repeated or out of range;
// `where` is for messages.
UnitLink ParseUnitLink(const std::string& where, const std::string& text);
// The same of a file, with the key of its key file.
UnitLink LoadUnitLink(const std::string& file);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_UNIT_LINK_H_
