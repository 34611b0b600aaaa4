// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "models/flow/flow_table.h"

namespace {

using namespace foreflow;
using namespace foreflow::flow;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string KeyBytes(const FlowKey& key) { return {reinterpret_cast<const char*>(&key), sizeof(key)}; }

// What the table says of itself: one order, sizes that add up, every flow found where it is.
void CheckShape(const FlowTable& table, const std::map<std::string, std::uint64_t>& packets,
                std::size_t vms) {
  Work work;
  std::size_t flows = 0;
  for (Slot slot = table.First(); slot != kNoSlot; slot = table.After(slot), ++flows) {
    Require(flows < table.size());
    const FlowRecord record = table.record(slot);
    Require(table.Find(record.key, work) == slot);
    const auto it = packets.find(KeyBytes(record.key));
    Require(it != packets.end() && it->second == record.packets);
  }
  Require(flows == table.size() && flows == packets.size() && flows <= table.capacity());
  std::size_t sum = 0;
  for (std::size_t vm = 0; vm < vms; ++vm) sum += table.size_of(static_cast<VmId>(vm));
  Require(sum == flows);
}

}  // namespace

// Input: 1 B capacity, 1 B VMs, then operations of 4 B: what, which key, and two of arguments (see below).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  FlowTableConfig config;
  config.capacity = 1 + data[0] % 64;
  config.vms = 1 + data[1] % std::min<std::size_t>(config.capacity, 4);
  config.tick = Nanos(3);
  config.timeouts.by_phase = {Nanos(30), Nanos(120), Nanos(0), Nanos(5000), Nanos(120), Nanos(4)};
  FlowTable table(config);
  std::map<std::string, std::uint64_t> packets;  // of each flow that is held
  Work work;
  std::int64_t now = 0;
  for (std::size_t at = 2; at + 4 <= size; at += 4) {
    const std::uint8_t* operation = data + at;
    FlowKey key;
    key.destination_port = operation[1] % 96;
    key.vm = operation[1] / 96;
    switch (operation[0] % 5) {
      case 0: {
        // Times may jump to either end of their range and back.
        if (operation[2] == 0xff) {
          std::uint64_t bits = 0;
          std::memcpy(&bits, data + at - 2, 6);
          now = static_cast<std::int64_t>(bits << 16);
        } else {
          now = static_cast<std::int64_t>(static_cast<std::uint64_t>(now) +
                                          (std::uint64_t{operation[2]} << operation[3] % 40));
        }
        break;
      }
      case 1: {
        FlowRecord gone;
        std::size_t expired = 0;
        for (; table.Expire(Nanos(now), gone, work); ++expired)
          Require(packets.erase(KeyBytes(gone.key)) == 1);
        Require(expired <= config.capacity);
        break;
      }
      case 2: {
        const bool held = packets.erase(KeyBytes(key)) == 1;
        Require(table.Erase(key, work) == held);
        break;
      }
      default: {
        FlowRecord gone;
        table.Prefetch(&key, 1);
        const FlowTable::Inserted inserted = table.FindOrInsert(key, Nanos(now), work, &gone);
        Require(inserted.slot < config.capacity);
        Require(inserted.fresh == (packets.count(KeyBytes(key)) == 0));
        if (inserted.evicted) Require(packets.erase(KeyBytes(gone.key)) == 1);
        ++packets[KeyBytes(key)];
        ConnectionPacket packet;
        packet.side = operation[2] & 1;
        packet.is_tcp = (operation[2] & 2) != 0;
        packet.tcp_flags = operation[3];
        table.Observe(inserted.slot, Nanos(now), 64, packet, work);
      }
    }
    CheckShape(table, packets, config.vms);
  }
  return 0;
}
