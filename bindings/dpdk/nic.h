// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_NIC_H_
#define FOREFLOW_BINDINGS_DPDK_NIC_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bindings/config/packet_count.h"
#include "bindings/config/run_config.h"
#include "bindings/config/strict_json.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/port.h"
#include "bindings/dpdk/port_flows.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/switch.h"
#include "bindings/dpdk/worker.h"
#include "models/rules/table_pair.h"

namespace foreflow::dpdk {

// What ports do with the standard rules, where they have flow rules (rte_flow).
enum class OffloadMode : std::uint8_t {
  kOff,
  kMark,  // look them up, and mark frames with what they decide; software does it
  kDrop,  // besides, drop what rules drop
};

struct NicOptions {
  unsigned workers = 1;
  std::string uplink = "last";  // a port's number or name, last, or none
  std::string mirror = "none";  // a port's number or name, or none
  Switching switching = Switching::kLearn;
  bool live = true;       // the clock: the time stamp counter, or else the ports' own stamps
  std::uint16_t mtu = 0;  // 0: as the ports have it
  // mbufs beyond what ports, queues and rings can hold, for drivers that keep some: net_pcap with infinite_rx
  // a packet of its file each.
  unsigned spare_mbufs = 0;
  bool with_rows = false;  // workers write DecidedRows
  OffloadMode offload = OffloadMode::kOff;
};

// Where everything went that came in, at one moment. Workers are counted one after the other, so that while
// they run a frame between two of them may be missing in `held`, or be in it twice.
struct NicCount {
  struct Port {
    std::string name;
    int vm = 0;  // RxQueue::kByMac, or -2 for the mirror port
    WorkerCount::Port frames;
    std::uint64_t missed = 0;
  };
  std::vector<Port> ports;
  config::PacketCount packets;  // copies not included
  std::uint64_t flooded = 0;
  std::uint64_t mirrored = 0;
  std::uint64_t copies_made = 0;
  std::uint64_t copies_sent = 0;
  std::uint64_t copies_dropped = 0;
  std::uint64_t copies_held = 0;
  std::uint64_t decided = 0;
  std::uint64_t hardware_hits = 0;  // of these, those for which ports had looked up the rules
  std::uint64_t handed_over = 0;
  std::uint64_t rows_lost = 0;
  std::uint64_t busy_cycles = 0;  // of all workers
  path::Counters path;

  bool Balanced() const {
    return packets.Balanced() && copies_made == copies_sent + copies_dropped + copies_held;
  }
};

// All ports of the EAL, with workers between them: a switch whose every frame is decided by the cores. The
// calling thread sets up, replaces rules and stops; it is never on the path.
class Nic {
 public:
  // Throws Refusal on ports, options or a configuration that cannot be had, and when memory is short.
  // config.path.flow_entries is a count.
  Nic(const Eal& eal, const config::RunConfig& config, const NicOptions& options);
  ~Nic();  // stops
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;

  void Start();
  // Receives nothing more, gives what is held a second to leave, and waits for the workers. Afterwards
  // Count is exact.
  void Stop();
  // Stops, closes the ports and returns how many mbufs did not come back: 0, or there is a leak.
  std::uint64_t Close();
  // From a burst soon after on, every worker decides by the rules, tag rules and meters of `config`, whose
  // other parts are left alone. Throws Refusal on rules that cannot be had, with the old ones still in use.
  // Waits until the workers have the new ones.
  void ReplaceRules(const path::PathConfig& config);
  // From a burst soon after on, every worker decides by the changed rules: each burst by those before or
  // those after all of the batch. Throws Refusal with the old ones still in use (PacketPath::ApplyRules).
  // Waits until the workers have the new ones. Flow entries that the changes do not touch stay.
  void ApplyRules(const rules::RuleBatch& batch);
  // From a burst soon after on, tags are sealed with keys from `keys`; those of the epoch before are accepted
  // until the overlap has passed (PacketPath::RotateTagKeys). False, and nothing done, where the epoch is not
  // later than the one in use. Waits until the workers have them.
  bool RotateTagKeys(const TagKeys& keys);
  // Has the errand done on every lane, by one worker after the other: it may keep what it finds without
  // locks. Waits until it is.
  void Run(Errand& errand);
  // Puts the rules in use into the ports, as far as they take them. After ReplaceRules and ApplyRules, which
  // take them out before workers have the new ones, none are there: to be called when rules have been still
  // for a while. Takes as long as the ports do.
  void OffloadRules();
  bool AwaitsOffload() const { return awaits_offload_; }
  // {mode, hits, ports}: by port what it can do, what it holds and dropped, and of each rule whether it is
  // there or why not (see PortFlows); null where nothing is offloaded. From any thread.
  config::Json OffloadReport(bool with_rules);
  // Of the rules in use: what the next batch is for.
  std::uint64_t rule_generation() { return lanes_.lane(0).rules().generation(); }
  std::size_t lanes() const { return lanes_.size(); }
  // From any thread; while workers run they are asked, which takes them a moment of their loop.
  NicCount Count();
  // See config::StatisticsOf. Only while no worker runs.
  config::Json Statistics() const;

  const std::vector<std::string>& notes() const { return notes_; }
  std::size_t workers() const { return workers_.size(); }
  // The next decided row of any worker, those of one worker in order; false where none waits.
  bool TakeRow(DecidedRow& row, std::size_t& worker);

 private:
  struct Place {  // of a port among the runner's
    PortFacts facts;
    int vm = 0;
    PortSetup setup;
  };
  void PlacePorts(const config::RunConfig& config, const NicOptions& options);
  void MakePoolAndPorts(const config::RunConfig& config, const NicOptions& options, std::size_t workers);
  void MakeWorkers(const config::RunConfig& config, const NicOptions& options, std::size_t workers);
  std::uint64_t FreeRing(rte_ring* ring, bool is_packed, std::uint64_t& copies);
  void CheckTagRules(const path::PathConfig& config) const;
  void MakeFlows(const path::PathConfig& config);
  void GiveMarks(const std::vector<PortMarks>* marks);
  void WithdrawRules();
  void PublishTable();

  const Eal& eal_;
  std::vector<std::string> notes_;
  std::vector<Place> places_;  // the mirror port last
  int mirror_place_ = -1;
  unsigned mbufs_ = 0;
  Pool pool_;
  path::Lanes lanes_;
  std::uint16_t vms_;
  OffloadMode offload_;
  std::uint64_t tag_epoch_ = 0;
  std::optional<rules::TablePair> tables_;  // of all lanes, since the first batch
  std::unique_ptr<Switch> fabric_;
  std::vector<Ring> inboxes_;
  std::vector<Ring> outboxes_;
  std::vector<Ring> rows_;
  std::size_t next_row_ = 0;
  std::atomic<Phase> phase_{Phase::kStop};
  std::vector<std::unique_ptr<Port>> ports_;
  std::mutex flows_in_use_;
  std::vector<std::unique_ptr<PortFlows>>
      flows_;                     // by port, where rules are offloaded; the mirror port's none
  std::vector<PortMarks> marks_;  // the same
  bool awaits_offload_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  bool running_ = false;
  std::mutex counting_;
  // What was left in the rings between workers when they stopped.
  std::uint64_t left_ = 0;
  std::uint64_t left_copies_ = 0;
};

// {ports, packets, copies, counters, ...}: the runner's part of a JSON report.
config::Json ToJson(const NicCount& count);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_NIC_H_
