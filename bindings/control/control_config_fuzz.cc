// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bindings/control/control_config.h"
#include "models/base/refusal.h"

// Bytes as a control file: refused in one sentence that names it, or accepted within its ranges.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace control = foreflow::control;
  try {
    const control::ServerConfig server =
        control::ParseServerConfig("fuzz", std::string(reinterpret_cast<const char*>(data), size));
    if (server.peers.empty() || server.peers.size() != server.agent.peers) std::abort();
    if (server.udp.length == 0 && server.tcp.length == 0) std::abort();
  } catch (const foreflow::Refusal& refusal) {
    if (std::string(refusal.what()).rfind("fuzz", 0) != 0) std::abort();
  }
  return 0;
}
