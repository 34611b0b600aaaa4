// SPDX-License-Identifier: BSD-3-Clause
// The flow table beside DPDK's rte_hash: the same keys, in one process, in turns. Prints the JSON list of
// `foreflow bench`. Both tables find, insert and delete 40-byte keys and give the position of the key; ours
// keeps order, expiry, shares and counters of the flows besides, rte_hash nothing.
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_version.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/flow/flow_table.h"

namespace {

using foreflow::Nanos;
using foreflow::Rng;
using foreflow::Work;
using foreflow::flow::FlowKey;
using foreflow::flow::FlowTable;
using foreflow::flow::FlowTableConfig;
using foreflow::flow::kBurst;
using foreflow::flow::kNoSlot;
using foreflow::flow::Slot;

constexpr int kWarmUps = 1;
constexpr int kRepetitions = 11;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Keys in an order of their own, with pointers to them as rte_hash wants.
struct Keys {
  std::vector<FlowKey> key;
  std::vector<const void*> pointer;

  Keys(std::vector<FlowKey> keys, Rng& rng) : key(std::move(keys)) {
    for (std::size_t i = key.size(); i > 1; --i) {
      std::swap(key[i - 1], key[rng.Below(static_cast<std::uint32_t>(i))]);
    }
    for (const FlowKey& k : key) pointer.push_back(&k);
  }
};

// Connections of 64 VMs to servers behind a few ports: what differs between keys are a few bytes, as in life.
std::vector<FlowKey> MakeKeys(std::size_t count, std::uint8_t network, Rng& rng) {
  constexpr std::array<std::uint16_t, 4> kPorts = {53, 80, 443, 6379};
  std::vector<FlowKey> keys(count);
  for (std::size_t i = 0; i < count; ++i) {
    FlowKey& key = keys[i];
    key.vm = static_cast<std::uint16_t>(1 + rng.Below(63));
    key.source_address = {network, 0, 0, static_cast<std::uint8_t>(key.vm)};
    key.destination_address = {192, 168, static_cast<std::uint8_t>(i >> 16),
                               static_cast<std::uint8_t>(i >> 8)};
    key.source_port = static_cast<std::uint16_t>(32768 + (i & 0xff) * 64 + rng.Below(64));
    key.destination_port = kPorts[rng.Below(kPorts.size())];
    key.ip_protocol = key.destination_port == 53 ? 17 : 6;
    key.l3 = 2;
  }
  return keys;
}

// The thread's own time: what else runs on the machine does not count.
double ThreadNanos() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// Runs one operation over all keys; returns ns a key. Fails loudly when a table lost or refused a key.
template <typename Operation>
double Time(std::size_t keys, Operation operation) {
  const double begin = ThreadNanos();
  const std::size_t done = operation();
  const double took = ThreadNanos() - begin;
  if (done != keys) {
    std::fprintf(stderr, "foreflow-bench-flow: %zu of %zu keys done: the table lost or refused some\n", done,
                 keys);
    std::exit(1);
  }
  return took / static_cast<double>(keys);
}

struct Row {
  std::string name;
  std::vector<double> ours;
  std::vector<double> peer;
};

// One size: fill, look all up, look as many others up, empty; ours and the peer's in turns, each first half
// of the time.
std::vector<Row> Measure(const std::string& size_name, std::size_t capacity, double& bytes_a_flow) {
  Rng rng(1, "flow bench");
  const std::size_t flows = capacity / 10 * 9;  // rte_hash takes no more for sure
  const Keys insert(MakeKeys(flows, 10, rng), rng);
  const Keys lookup(insert.key, rng);
  const Keys others(MakeKeys(flows, 11, rng), rng);
  const Keys erase(insert.key, rng);

  FlowTableConfig config;
  config.capacity = capacity;
  config.vms = 64;
  FlowTable table(config);
  bytes_a_flow = static_cast<double>(table.bytes()) / static_cast<double>(capacity);
  Work work;

  rte_hash_parameters parameters{};
  parameters.name = size_name.c_str();
  parameters.entries = static_cast<std::uint32_t>(capacity);
  parameters.key_len = sizeof(FlowKey);
  parameters.socket_id = SOCKET_ID_ANY;
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr) {
    std::fprintf(stderr, "foreflow-bench-flow: rte_hash_create: %s\n", rte_strerror(rte_errno));
    std::exit(1);
  }

  const auto find_ours = [&](const Keys& keys) {
    std::size_t found = 0;
    std::array<Slot, kBurst> slots;
    for (std::size_t i = 0; i < flows; i += kBurst) {
      const std::size_t burst = std::min(kBurst, flows - i);
      table.FindBulk(&keys.key[i], burst, slots.data(), work);
      for (std::size_t j = 0; j < burst; ++j) found += slots[j] != kNoSlot ? 1 : 0;
    }
    return found;
  };
  const auto find_peer = [&](const Keys& keys) {
    std::size_t found = 0;
    std::array<std::int32_t, kBurst> positions;
    for (std::size_t i = 0; i < flows; i += kBurst) {
      const std::size_t burst = std::min(kBurst, flows - i);
      // The keys are only read; DPDK's signature is not const-correct.
      rte_hash_lookup_bulk(hash, const_cast<const void**>(&keys.pointer[i]),
                           static_cast<std::uint32_t>(burst), positions.data());
      for (std::size_t j = 0; j < burst; ++j) found += positions[j] >= 0 ? 1 : 0;
    }
    return found;
  };

  std::vector<Row> rows;
  for (const char* operation : {"insert", "lookup", "lookup_miss", "delete"}) {
    rows.push_back({"flow_table_" + std::string(operation) + "_" + size_name, {}, {}});
  }
  for (int repetition = -kWarmUps; repetition < kRepetitions; ++repetition) {
    std::array<double, 4> ours{};
    std::array<double, 4> peer{};
    for (std::size_t operation = 0; operation < rows.size(); ++operation) {
      const auto run_ours = [&] {
        ours[operation] = Time(flows, [&]() -> std::size_t {
          if (operation == 1) return find_ours(lookup);
          if (operation == 2) return flows - find_ours(others);
          const std::vector<FlowKey>& keys = operation == 0 ? insert.key : erase.key;
          std::size_t done = 0;
          for (std::size_t i = 0; i < flows; ++i) {
            if (i % kBurst == 0) table.Prefetch(&keys[i], std::min(kBurst, flows - i));
            done += operation == 0 ? table.FindOrInsert(keys[i], Nanos(0), work).fresh
                                   : table.Erase(keys[i], work);
          }
          return done;
        });
      };
      const auto run_peer = [&] {
        peer[operation] = Time(flows, [&]() -> std::size_t {
          if (operation == 1) return find_peer(lookup);
          if (operation == 2) return flows - find_peer(others);
          std::size_t done = 0;
          for (const FlowKey& key : operation == 0 ? insert.key : erase.key) {
            done += (operation == 0 ? rte_hash_add_key(hash, &key) : rte_hash_del_key(hash, &key)) >= 0;
          }
          return done;
        });
      };
      if (repetition % 2 == 0) {
        run_ours();
        run_peer();
      } else {
        run_peer();
        run_ours();
      }
      if (repetition >= 0) {
        rows[operation].ours.push_back(ours[operation]);
        rows[operation].peer.push_back(peer[operation]);
      }
    }
  }
  rte_hash_free(hash);
  return rows;
}

int FirstAllowedCpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed)) return cpu;
    }
  }
  return 0;
}

}  // namespace

int main() {
  std::vector<std::string> arguments = {"foreflow-bench-flow",
                                        "--no-huge",
                                        "-m",
                                        "1024",
                                        "--no-pci",
                                        "--no-telemetry",
                                        "--no-shconf",
                                        "--log-level=error",
                                        "-l",
                                        std::to_string(FirstAllowedCpu())};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::fprintf(stderr, "foreflow-bench-flow: rte_eal_init: %s\n", rte_strerror(rte_errno));
    return 1;
  }
  std::printf("[");
  double bytes_a_flow = 0;
  for (const auto& [size_name, capacity] : {std::pair("64k", 1u << 16), std::pair("1m", 1u << 20)}) {
    for (const Row& row : Measure(size_name, capacity, bytes_a_flow)) {
      const double ours = Median(row.ours);
      const double peer = Median(row.peer);
      std::printf(
          "{\"name\": \"%s\", \"unit\": \"ns\", \"value\": %.2f, \"peer\": \"%s rte_hash\", "
          "\"peer_value\": %.2f, \"ratio\": %.3f},\n ",
          row.name.c_str(), ours, rte_version(), peer, peer / ours);
    }
  }
  std::printf(
      "{\"name\": \"flow_table_memory\", \"unit\": \"B/flow\", \"value\": %.1f, \"peer\": null, "
      "\"peer_value\": null, \"ratio\": null}]\n",
      bytes_a_flow);
  return 0;
}
