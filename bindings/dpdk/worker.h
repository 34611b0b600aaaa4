// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_WORKER_H_
#define FOREFLOW_BINDINGS_DPDK_WORKER_H_

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "bindings/dpdk/egress.h"
#include "bindings/dpdk/frame.h"
#include "bindings/dpdk/port_marks.h"
#include "bindings/dpdk/switch.h"
#include "models/path/lanes.h"
#include "models/path/rule_set.h"
#include "models/path/vm_map.h"

namespace foreflow::dpdk {

constexpr std::size_t kMostPorts = 32;

// What a frame's time of arrival is.
enum class Clock : std::uint8_t {
  kCarried,  // what the feeder of the port wrote into the frame, with number, VM, link and wire length
  kLive,     // the core's time stamp counter when its burst was received, from the start of the run
  kPort,     // the driver's time stamp, in microseconds, from the first frame's; where none, as the last
};

struct RxQueue {
  static constexpr int kByMac = -1;  // one VM a source MAC (path::VmMap)

  std::uint16_t device = 0;  // DPDK's number of the port
  std::uint16_t queue = 0;
  std::uint16_t port = 0;  // the runner's own
  int vm = 0;              // the VM that owns the port, 0 the uplink, or kByMac
};

// The VM that a frame is of when a VM's port received it: where there are `vms` profiled ones.
constexpr flow::VmId VmOfPort(int vm, std::uint16_t vms) {
  return static_cast<flow::VmId>(vm <= vms ? vm : 0);
}

// Another worker's frames for a port on which this one transmits.
struct Outbox {
  TxQueue tx;
  rte_ring* from = nullptr;
};

// One decision, as the replay's merger gets it.
struct Decided {
  std::uint64_t number = 0;
  path::Verdict verdict;
};

// One decision with its inputs, as traces need it.
struct DecidedRow {
  Nanos time;
  predict::PacketSummary seen;  // key and payload only valid when decidable
  bool decidable = false;
  path::Verdict verdict;  // tells the VM
  path::StageWork work;
};

// Where a worker's frames went since the start: in = out of all ports + held + dropped. Copies (flooded and
// mirrored frames) are apart: made = sent + held + dropped.
struct WorkerCount {
  struct Port {
    std::uint64_t in = 0;
    std::uint64_t in_bytes = 0;
    SentCount sent;
  };
  std::array<Port, kMostPorts> ports{};
  std::array<std::uint64_t, kReasons> dropped{};
  std::uint64_t decided = 0;
  std::uint64_t hardware_hits = 0;  // of these, those for which the port had looked up the rules
  std::uint64_t handed_over = 0;    // received here, decided by another worker
  std::uint64_t flooded = 0;
  std::uint64_t mirrored = 0;
  std::uint64_t copies_made = 0;
  std::uint64_t copies_dropped = 0;
  std::uint64_t held = 0;  // queued here when this was counted, copies not included
  std::uint64_t held_copies = 0;
  std::uint64_t rows_lost = 0;    // of the trace
  std::uint64_t busy_cycles = 0;  // of the time stamp counter, in rounds of the loop that moved a frame
  path::Counters path;
};

enum class Phase : std::uint8_t {
  kRun,
  kDrain,  // receive nothing more, send what is held
  kStop,
};

struct WorkerPlan {
  unsigned index = 0;
  unsigned workers = 1;
  const std::atomic<Phase>* phase = nullptr;
  path::Lanes* lanes = nullptr;  // lane i is this worker's where i mod workers is its index
  std::uint16_t vms = 0;         // profiled VMs: frames of later ones are the uplink's
  Clock clock = Clock::kLive;
  std::uint64_t start_tsc = 0;  // kLive: time 0
  int timestamp_offset = -1;    // kPort: of the driver's time stamp in an mbuf
  std::uint64_t timestamp_flag = 0;
  std::vector<RxQueue> rx;
  std::vector<TxQueue> tx;         // by port
  std::vector<Outbox> outboxes;    // of ports on which other workers have no queue
  std::vector<rte_ring*> inboxes;  // by worker: frames of its lanes that others received
  Switch* fabric = nullptr;
  int mirror_port = -1;  // gets copies of mirrored frames; -1: they are only counted
  std::uint32_t queue_packets = 256;
  std::uint32_t most_frame_bytes = 0;  // of frames in several segments
  // Rings of Decided and DecidedRow elements, or nullptr. With `waits` nothing is received until they have
  // room and all egress queues are empty: no record is lost and no queue overflows. Else rows that find no
  // room are lost and counted.
  rte_ring* decided = nullptr;
  rte_ring* rows = nullptr;
  bool waits = false;
};

// What PacketPath::RotateTagKeys takes.
struct TagKeys {
  std::uint64_t epoch = 0;
  crypto::Key128 master{};
  Nanos overlap;
};

// Something to be done with lanes by the worker that owns them, between two of its bursts.
class Errand {
 public:
  virtual ~Errand() = default;
  // Takes neither memory nor long: packets wait.
  virtual void Do(path::PacketPath& lane, std::size_t number, Nanos now) = 0;
};

// Runs to completion on one core: receive a burst, decide it, queue it, send. All memory is taken at
// construction; no lock and no allocation afterwards. Run on its lcore, Count from any other thread.
class Worker {
 public:
  explicit Worker(const WorkerPlan& plan);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Returns at Phase::kStop. Frames that are still held then are counted as held, and freed with the worker.
  void Run();

  // A consistent count, as of a moment between the call and its return. While Run runs it answers; asked from
  // one thread at a time.
  WorkerCount Count();
  // Has this worker's lanes decide by these rule sets (one a lane of all) from its next burst on; until
  // TookRules is true they must stay, afterwards they hold the rules that were in use. As Count.
  void OfferRules(std::vector<path::RuleSet>* sets);
  bool TookRules();
  // The same with a table (PacketPath::AdoptRules), which must stay until TookTable is true of a later one.
  void OfferTable(const rules::RuleTable* table);
  bool TookTable();
  // The same with tag keys.
  void OfferTagKeys(const TagKeys* keys);
  bool TookTagKeys();
  // Has the errand done on each of this worker's lanes before its next burst. As OfferRules.
  void OfferErrand(Errand* errand);
  bool DidErrand();
  // The same with what marks of frames mean, by port: of the rules in use then. Null: nothing. They must stay
  // until TookMarks is true of later ones.
  void OfferMarks(const std::vector<PortMarks>* marks);
  bool TookMarks();

 private:
  void SwapRules();
  void AdoptTable();
  void RotateTagKeys();
  void AdoptMarks();
  void DoErrand();
  bool HasRoom() const;
  std::size_t Receive(const RxQueue& rx);
  std::size_t TakeInbox();
  void Describe(const rte_mbuf* frame, const RxQueue& rx, FrameMeta& meta);
  // What the port says all rules decide of the frame, or nullptr.
  const rules::Decision* DecisionOf(const rte_mbuf* frame, std::uint16_t port) const;
  // Of frames whose metas_ are written.
  void Decide(rte_mbuf** frames, std::size_t count);
  void Record(std::size_t i, const FrameMeta& meta);
  // Packet i of the burst, which was decided on that lane.
  rte_mbuf* Change(rte_mbuf* frame, std::size_t i, std::uint16_t lane);
  void Forward(rte_mbuf* frame, std::uint16_t in_port, std::size_t i, std::uint16_t lane);
  void Flood(rte_mbuf* frame, std::uint16_t in_port, std::uint8_t queue, std::uint32_t wire_bytes);
  void Drop(rte_mbuf* frame, Reason reason);
  std::size_t SendAll();
  void Answer();
  BytesView BytesOf(rte_mbuf* frame, std::size_t place);

  WorkerPlan plan_;
  std::size_t switched_ports_;
  Nanos now_;
  Nanos last_;  // time of the last frame decided: time never runs backwards
  std::uint64_t first_timestamp_ = 0;
  bool has_timestamp_ = false;
  path::VmMap vm_by_mac_;
  std::vector<std::unique_ptr<Egress>> egress_;  // by port
  struct Stash {                                 // taken from an outbox, not yet by the port
    std::array<void*, path::kBurst> frames;      // as Pack made them
    std::size_t count = 0;
  };
  std::vector<Stash> stashes_;                 // by outbox
  std::unique_ptr<std::uint8_t[]> scratch_;    // frames in several segments, made whole: a burst of them
  std::array<FrameMeta, path::kBurst> metas_;  // nearer than those in the mbufs
  std::array<path::Arrival, path::kBurst> arrivals_;
  std::array<path::Parsed, path::kBurst> parsed_;
  std::array<path::Verdict, path::kBurst> verdicts_;
  std::array<path::StageWork, path::kBurst> work_;
  WorkerCount count_;

  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<bool> running_{false};
  WorkerCount answer_;
  std::atomic<std::vector<path::RuleSet>*> offered_{nullptr};
  std::atomic<const rules::RuleTable*> offered_table_{nullptr};
  std::atomic<const TagKeys*> offered_keys_{nullptr};
  std::atomic<Errand*> errand_{nullptr};
  std::atomic<const std::vector<PortMarks>*> offered_marks_{nullptr};
  std::atomic<bool> has_offered_marks_{false};
  const std::vector<PortMarks>* marks_ = nullptr;  // by port
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_WORKER_H_
