// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/nic.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring_elem.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "bindings/config/report_json.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kInboxPlaces = 2048;
constexpr unsigned kOutboxPlaces = 512;
constexpr unsigned kRowPlaces = 8192;
constexpr unsigned kMbufCaches = 512;  // what a core may keep for itself
constexpr std::uint32_t kLargestFrame = 65'535;
constexpr std::uint32_t kFrameRoom = 2048;  // of an mbuf, where the MTU asks for no more
constexpr std::uint32_t kFrameExtra = 26;   // Ethernet header, two VLAN tags, checksum
constexpr int kMirrorVm = -2;
constexpr unsigned kDrainMilliseconds = 1000;
constexpr unsigned kPollMicroseconds = 20;

// The position of a port given by number or name; -1 where there is none.
int Find(const std::vector<PortFacts>& ports, const std::string& wanted) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == wanted || std::to_string(i) == wanted) return static_cast<int>(i);
  }
  return -1;
}

int FindOrRefuse(const std::vector<PortFacts>& ports, const std::string& option, const std::string& wanted,
                 const std::string& besides) {
  const int place = Find(ports, wanted);
  if (place >= 0) return place;
  std::string allowed = besides;
  for (std::size_t i = 0; i < ports.size(); ++i)
    allowed += ", " + std::to_string(i) + " (" + ports[i].name + ")";
  throw Refusal("command line", option, wanted, allowed);
}

int RunWorker(void* worker) {
  static_cast<Worker*>(worker)->Run();
  return 0;
}

config::Json ToJson(const RuleOffload& rule) {
  const bool is_whole = rule.why == FlowRefusal::kNone;
  return {{"rule", rule.rule},
          {"kinds", rule.kinds},
          {"in_port", rule.in_port},
          {"entries", rule.entries},
          {"why", is_whole ? config::Json() : config::Json(Name(rule.why))},
          {"answer", rule.answer.empty() ? config::Json() : config::Json(rule.answer)}};
}

config::Json ToJson(const PortFlows& flows, bool with_rules) {
  const FlowAbilities& can = flows.abilities();
  const OffloadPlan& plan = flows.plan();
  const std::optional<std::uint64_t> dropped = flows.Dropped();
  std::size_t whole = 0;
  std::size_t part = 0;
  config::Json rules = config::Json::array();
  for (const RuleOffload& rule : plan.rules) {
    if (rule.in_port > 0) ++(rule.in_port == rule.kinds ? whole : part);
    if (with_rules) rules.push_back(ToJson(rule));
  }
  config::Json json = {{"name", flows.port().facts().name},
                       {"takes",
                        {{"marks", can.marks},
                         {"drops", can.drops},
                         {"counts", can.counts},
                         {"fragments", can.patterns.fragments},
                         {"ranges", can.patterns.ranges}}},
                       {"answer", can.answer.empty() ? config::Json() : config::Json(can.answer)},
                       {"entries", plan.entries},
                       {"rules_whole", whole},
                       {"rules_in_part", part},
                       {"rules_in_software", plan.rules.size() - whole - part},
                       {"dropped", dropped ? config::Json(*dropped) : config::Json()}};
  if (with_rules) json["rules"] = std::move(rules);
  return json;
}

config::Json VmJson(int vm) {
  if (vm == RxQueue::kByMac) return "by source MAC";
  if (vm == kMirrorVm) return "mirror";
  return vm;
}

}  // namespace

Nic::Nic(const Eal& eal, const config::RunConfig& config, const NicOptions& options)
    : eal_(eal), lanes_(config.path, nullptr), vms_(config.path.vms), offload_(options.offload) {
  PlacePorts(config, options);
  const std::size_t workers = std::min<std::size_t>(options.workers, lanes_.size());
  if (workers < options.workers) {
    notes_.push_back(std::to_string(workers) + " of " + std::to_string(options.workers) +
                     " workers have work: device.lanes is " + std::to_string(lanes_.size()));
  }
  MakePoolAndPorts(config, options, workers);
  MakeWorkers(config, options, workers);
  MakeFlows(config.path);
}

Nic::~Nic() {
  if (pool_) Close();
}

void Nic::PlacePorts(const config::RunConfig& config, const NicOptions& options) {
  std::vector<PortFacts> found = FindPorts(eal_);
  if (found.size() > kMostPorts) {
    throw Refusal("EAL", "ports", std::to_string(found.size()), "up to " + std::to_string(kMostPorts));
  }
  int mirror = -1;
  if (options.mirror != "none") {
    mirror = FindOrRefuse(found, "--mirror", options.mirror, "none");
    if (found.size() == 1) throw Refusal("command line: --mirror takes the only port; add another one");
  }
  const std::size_t switched = found.size() - (mirror >= 0 ? 1 : 0);
  int uplink = -1;
  if (options.uplink == "last") {
    if (switched > 1)
      uplink = static_cast<int>(found.size()) - (mirror == static_cast<int>(found.size()) - 1 ? 2 : 1);
  } else if (options.uplink != "none") {
    uplink = FindOrRefuse(found, "--uplink", options.uplink, "last, none");
    if (uplink == mirror)
      throw Refusal("command line", "--uplink", options.uplink, "a port other than --mirror's");
  }
  int vm = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const int at = static_cast<int>(i);
    if (at == mirror) continue;
    Place place;
    place.facts = found[i];
    if (at != uplink) place.vm = switched == 1 ? RxQueue::kByMac : ++vm;
    places_.push_back(place);
  }
  if (vm > config.path.vms) {
    notes_.push_back("ports of VMs beyond " + std::to_string(config.path.vms) +
                     " (host.vms) are not profiled");
  }
  if (mirror >= 0) {
    Place place;
    place.facts = found[static_cast<std::size_t>(mirror)];
    place.vm = kMirrorVm;
    mirror_place_ = static_cast<int>(places_.size());
    places_.push_back(place);
  }
  if (!options.live) {
    for (const Place& place : places_) {
      if (place.vm == kMirrorVm || place.facts.stamps_microseconds) continue;
      throw Refusal(
          "command line: --clock virtual needs ports whose frames carry the time they were received; " +
          place.facts.name + " (" + place.facts.driver + ") has none, net_pcap has");
    }
  }
}

void Nic::MakePoolAndPorts(const config::RunConfig& config, const NicOptions& options, std::size_t workers) {
  const auto wanted = static_cast<std::uint16_t>(workers);
  std::size_t mbufs = kMbufCaches * (workers + 1) + options.spare_mbufs;
  std::string software;
  for (Place& place : places_) {
    const PortFacts& facts = place.facts;
    if (options.mtu != 0) CheckMtu(facts, options.mtu);
    // With VMs told apart by MAC one worker must see all frames, or the numbers would depend on chance. As
    // many queues to receive as to transmit: some drivers have them in pairs.
    const bool all = facts.queues >= wanted && place.vm != RxQueue::kByMac;
    place.setup.queues = all ? wanted : std::uint16_t{1};
    place.setup.steers = all && wanted > 1 && facts.rss_entries >= lanes_.size() && place.vm != kMirrorVm;
    place.setup.lanes = static_cast<std::uint16_t>(lanes_.size());
    place.setup.mtu = options.mtu;
    place.setup.marks = options.offload != OffloadMode::kOff && place.vm != kMirrorVm;
    if (!place.setup.steers && wanted > 1 && place.vm != kMirrorVm) {
      software += (software.empty() ? "" : ", ") + facts.name;
    }
    mbufs += std::size_t{2} * Port::kDescriptors * place.setup.queues;
    mbufs += workers * (std::size_t{config.queue_packets} * rules::kQueues + path::kBurst);
    if (place.setup.queues < wanted) mbufs += workers * kOutboxPlaces;
  }
  if (wanted > 1) mbufs += workers * kInboxPlaces;
  if (!software.empty()) {
    notes_.push_back(
        "frames of " + software +
        " are spread over the workers in software: who receives one of another's lane hands it on");
  }
  mbufs_ = static_cast<unsigned>(std::min<std::size_t>(mbufs, UINT32_MAX / 2));
  const std::uint32_t room =
      std::max<std::uint32_t>(kFrameRoom, std::uint32_t{options.mtu} + kFrameExtra) + RTE_PKTMBUF_HEADROOM;
  if (room > UINT16_MAX) throw Refusal("command line", "--mtu", std::to_string(options.mtu), "up to 65000");
  pool_ = MakePool("foreflow_frames", mbufs_, sizeof(FrameMeta), room);
  for (Place& place : places_) {
    place.setup.pool = pool_.get();
    ports_.push_back(std::make_unique<Port>(place.facts, place.setup));
  }
}

void Nic::MakeWorkers(const config::RunConfig& config, const NicOptions& options, std::size_t workers) {
  WorkerPlan plan;
  plan.workers = static_cast<unsigned>(workers);
  plan.phase = &phase_;
  plan.lanes = &lanes_;
  plan.vms = config.path.vms;
  plan.clock = options.live ? Clock::kLive : Clock::kPort;
  plan.start_tsc = rte_rdtsc();
  if (!options.live) rte_mbuf_dyn_rx_timestamp_register(&plan.timestamp_offset, &plan.timestamp_flag);
  fabric_ = std::make_unique<Switch>(
      options.switching, static_cast<std::uint16_t>(places_.size() - (mirror_place_ >= 0 ? 1 : 0)));
  plan.fabric = fabric_.get();
  plan.mirror_port = mirror_place_;
  plan.queue_packets = config.queue_packets;
  plan.most_frame_bytes = kLargestFrame;
  for (std::size_t i = 0; i < workers && workers > 1; ++i) {
    inboxes_.push_back(
        MakeRing("foreflow_inbox" + std::to_string(i), sizeof(void*), kInboxPlaces, RING_F_SC_DEQ));
    plan.inboxes.push_back(inboxes_.back().get());
  }
  std::vector<rte_ring*> outbox_of(places_.size(), nullptr);
  for (std::size_t port = 0; port < places_.size(); ++port) {
    if (places_[port].setup.queues >= workers) continue;
    outboxes_.push_back(
        MakeRing("foreflow_outbox" + std::to_string(port), sizeof(void*), kOutboxPlaces, RING_F_SC_DEQ));
    outbox_of[port] = outboxes_.back().get();
  }
  for (std::size_t worker = 0; worker < workers; ++worker) {
    plan.index = static_cast<unsigned>(worker);
    plan.rx.clear();
    plan.tx.clear();
    plan.outboxes.clear();
    plan.rows = nullptr;
    for (std::size_t port = 0; port < places_.size(); ++port) {
      const Place& place = places_[port];
      const auto number = static_cast<std::uint16_t>(port);
      const auto queue = static_cast<std::uint16_t>(worker);
      const bool serves = port % workers == worker;  // the queues that there is only one of
      if (place.vm != kMirrorVm) {
        if (place.setup.queues > 1) {
          plan.rx.push_back({place.facts.device, queue, number, place.vm});
        } else if (serves) {
          plan.rx.push_back({place.facts.device, 0, number, place.vm});
        }
      }
      if (outbox_of[port] == nullptr) {
        plan.tx.push_back({place.facts.device, queue, number, nullptr});
      } else {
        plan.tx.push_back({place.facts.device, 0, number, serves ? nullptr : outbox_of[port]});
        if (serves) plan.outboxes.push_back({plan.tx.back(), outbox_of[port]});
      }
    }
    if (options.with_rows) {
      rows_.push_back(MakeRing("foreflow_rows" + std::to_string(worker), sizeof(DecidedRow), kRowPlaces,
                               RING_F_SP_ENQ | RING_F_SC_DEQ));
      plan.rows = rows_.back().get();
    }
    workers_.push_back(std::make_unique<Worker>(plan));
  }
}

// What a port drops no tag rule sees.
void Nic::CheckTagRules(const path::PathConfig& config) const {
  if (offload_ != OffloadMode::kDrop) return;
  const auto mirrors = [](const tag::TagRule& rule) { return rule.action.mirror; };
  if (config.tag_authority == path::TagAuthority::kLiteral) {
    throw Refusal(
        "command line: --offload-rules drop is not for tags.authority literal, where a tag rule may forward "
        "what a rule drops; give mark");
  }
  if (std::any_of(config.tag_rules.begin(), config.tag_rules.end(), mirrors)) {
    throw Refusal(
        "command line: --offload-rules drop is not for tag rules that mirror, which see no packet that a "
        "port drops; give mark");
  }
}

void Nic::MakeFlows(const path::PathConfig& config) {
  if (offload_ == OffloadMode::kOff) return;
  CheckTagRules(config);
  for (std::size_t port = 0; port < places_.size(); ++port) {
    const bool is_mirror = places_[port].vm == kMirrorVm;
    flows_.push_back(is_mirror ? nullptr : std::make_unique<PortFlows>(*ports_[port]));
  }
  OffloadRules();
}

void Nic::GiveMarks(const std::vector<PortMarks>* marks) {
  for (const auto& worker : workers_) worker->OfferMarks(marks);
  for (const auto& worker : workers_) {
    while (!worker->TookMarks()) ::usleep(kPollMicroseconds);
  }
}

void Nic::OffloadRules() {
  if (offload_ == OffloadMode::kOff) return;
  WithdrawRules();
  const std::vector<rules::Rule> rules = lanes_.lane(0).rules().Rules();
  const std::lock_guard<std::mutex> lock(flows_in_use_);
  marks_.assign(places_.size(), {});
  for (std::size_t port = 0; port < places_.size(); ++port) {
    if (flows_[port] == nullptr) continue;
    std::optional<flow::VmId> vm;
    if (places_[port].vm != RxQueue::kByMac) vm = VmOfPort(places_[port].vm, vms_);
    flows_[port]->Install(rules, vm, offload_ == OffloadMode::kDrop);
    marks_[port] = flows_[port]->marks();
  }
  GiveMarks(&marks_);
  awaits_offload_ = false;
}

// First nobody believes marks any more, then there are none, and then rules may change.
void Nic::WithdrawRules() {
  if (offload_ == OffloadMode::kOff || awaits_offload_) return;
  GiveMarks(nullptr);
  const std::lock_guard<std::mutex> lock(flows_in_use_);
  for (const auto& flows : flows_) {
    if (flows != nullptr) flows->Remove();
  }
  awaits_offload_ = true;
}

void Nic::Start() {
  phase_.store(Phase::kRun, std::memory_order_release);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    rte_eal_remote_launch(RunWorker, workers_[i].get(), eal_.worker_lcores()[i]);
  }
  running_ = true;
}

void Nic::Stop() {
  if (!running_) return;
  phase_.store(Phase::kDrain, std::memory_order_release);
  for (unsigned waited = 0; waited < kDrainMilliseconds; ++waited) {
    const NicCount count = Count();
    std::uint64_t gone = count.packets.out;
    for (const std::uint64_t dropped : count.packets.dropped) gone += dropped;
    if (gone == count.packets.in && count.copies_made == count.copies_sent + count.copies_dropped) break;
    ::usleep(1000);
  }
  phase_.store(Phase::kStop, std::memory_order_release);
  rte_eal_mp_wait_lcore();
  running_ = false;
  const std::lock_guard<std::mutex> lock(counting_);
  for (const Ring& ring : inboxes_) left_ += FreeRing(ring.get(), false, left_copies_);
  for (const Ring& ring : outboxes_) left_ += FreeRing(ring.get(), true, left_copies_);
}

std::uint64_t Nic::FreeRing(rte_ring* ring, bool is_packed, std::uint64_t& copies) {
  std::uint64_t frames = 0;
  void* item;
  while (rte_ring_dequeue(ring, &item) == 0) {
    const Outgoing out = is_packed ? Unpack(item) : Outgoing{static_cast<rte_mbuf*>(item), false};
    ++(out.is_copy ? copies : frames);
    rte_pktmbuf_free(out.frame);
  }
  return frames;
}

std::uint64_t Nic::Close() {
  Stop();
  workers_.clear();
  {
    const std::lock_guard<std::mutex> lock(flows_in_use_);
    flows_.clear();
  }
  ports_.clear();
  const std::uint64_t lost = pool_ ? mbufs_ - rte_mempool_avail_count(pool_.get()) : 0;
  pool_.reset();
  return lost;
}

void Nic::ReplaceRules(const path::PathConfig& config) {
  path::PathConfig whole = config;
  whole.lanes = static_cast<std::uint16_t>(lanes_.size());
  CheckTagRules(config);
  const path::PathConfig share = path::LaneShare(whole);
  std::vector<path::RuleSet> sets;
  sets.reserve(lanes_.size());
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) sets.emplace_back(share);
  WithdrawRules();
  for (const auto& worker : workers_) worker->OfferRules(&sets);
  for (const auto& worker : workers_) {
    while (!worker->TookRules()) ::usleep(kPollMicroseconds);
  }
  tables_.reset();  // nobody reads them any more
}

void Nic::ApplyRules(const rules::RuleBatch& batch) {
  lanes_.lane(0).CheckRules(batch);
  if (!tables_) tables_.emplace(lanes_.lane(0).rules());
  tables_->Apply(batch);
  WithdrawRules();
  PublishTable();
  tables_->CatchUp();
  PublishTable();
}

// Workers read what is published, and nothing else any more.
void Nic::PublishTable() {
  for (const auto& worker : workers_) worker->OfferTable(&tables_->published());
  for (const auto& worker : workers_) {
    while (!worker->TookTable()) ::usleep(kPollMicroseconds);
  }
}

bool Nic::RotateTagKeys(const TagKeys& keys) {
  if (keys.epoch <= tag_epoch_) return false;
  tag_epoch_ = keys.epoch;
  for (const auto& worker : workers_) worker->OfferTagKeys(&keys);
  for (const auto& worker : workers_) {
    while (!worker->TookTagKeys()) ::usleep(kPollMicroseconds);
  }
  return true;
}

void Nic::Run(Errand& errand) {
  for (const auto& worker : workers_) {
    worker->OfferErrand(&errand);
    while (!worker->DidErrand()) ::usleep(kPollMicroseconds);
  }
}

NicCount Nic::Count() {
  const std::lock_guard<std::mutex> lock(counting_);
  NicCount sum;
  sum.ports.resize(places_.size());
  for (std::size_t port = 0; port < places_.size(); ++port) {
    sum.ports[port].name = places_[port].facts.name;
    sum.ports[port].vm = places_[port].vm;
    sum.ports[port].missed = ports_[port]->Missed();
  }
  sum.packets.held = left_;
  sum.copies_held = left_copies_;
  // Copies under way from worker to worker are not told apart until they have stopped.
  for (const Ring& ring : inboxes_) sum.packets.held += rte_ring_count(ring.get());
  for (const Ring& ring : outboxes_) sum.packets.held += rte_ring_count(ring.get());
  for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
    const WorkerCount count = workers_[worker]->Count();
    for (std::size_t port = 0; port < places_.size(); ++port) {
      const WorkerCount::Port& from = count.ports[port];
      WorkerCount::Port& to = sum.ports[port].frames;
      to.in += from.in;
      to.in_bytes += from.in_bytes;
      to.sent.frames += from.sent.frames;
      to.sent.bytes += from.sent.bytes;
      to.sent.copies += from.sent.copies;
      sum.packets.in += from.in;
      sum.packets.out += from.sent.frames;
      sum.copies_sent += from.sent.copies;
    }
    for (std::size_t reason = 0; reason < kReasons; ++reason)
      sum.packets.dropped[reason] += count.dropped[reason];
    sum.packets.held += count.held;
    sum.copies_held += count.held_copies;
    sum.flooded += count.flooded;
    sum.mirrored += count.mirrored;
    sum.copies_made += count.copies_made;
    sum.copies_dropped += count.copies_dropped;
    sum.decided += count.decided;
    sum.hardware_hits += count.hardware_hits;
    sum.handed_over += count.handed_over;
    sum.rows_lost += count.rows_lost;
    sum.busy_cycles += count.busy_cycles;
    if (worker == 0) {
      sum.path = count.path;
    } else {
      sum.path += count.path;
    }
  }
  return sum;
}

bool Nic::TakeRow(DecidedRow& row, std::size_t& worker) {
  for (std::size_t tried = 0; tried < rows_.size(); ++tried) {
    worker = next_row_++ % rows_.size();
    if (rte_ring_dequeue_elem(rows_[worker].get(), &row, sizeof row) == 0) return true;
  }
  return false;
}

config::Json ToJson(const NicCount& count) {
  config::Json ports = config::Json::array();
  for (const NicCount::Port& port : count.ports) {
    ports.push_back({{"name", port.name},
                     {"vm", VmJson(port.vm)},
                     {"in", port.frames.in},
                     {"in_bytes", port.frames.in_bytes},
                     {"out", port.frames.sent.frames + port.frames.sent.copies},
                     {"out_bytes", port.frames.sent.bytes},
                     {"copies", port.frames.sent.copies},
                     {"missed", port.missed}});
  }
  return {{"ports", ports},
          {"packets", config::ToJson(count.packets)},
          {"copies",
           {{"made", count.copies_made},
            {"out", count.copies_sent},
            {"held", count.copies_held},
            {"dropped", count.copies_dropped}}},
          {"flooded", count.flooded},
          {"mirrored", count.mirrored},
          {"decided", count.decided},
          {"handed_over", count.handed_over},
          {"trace_lost", count.rows_lost},
          {"counters", config::ToJson(count.path)},
          {"busy_cycles_per_packet",
           count.decided == 0
               ? config::Json()
               : config::Json(static_cast<double>(count.busy_cycles) / static_cast<double>(count.decided))}};
}

config::Json Nic::OffloadReport(bool with_rules) {
  if (offload_ == OffloadMode::kOff) return nullptr;
  const std::uint64_t hits = Count().hardware_hits;
  const std::lock_guard<std::mutex> lock(flows_in_use_);
  config::Json ports = config::Json::array();
  for (const auto& flows : flows_) {
    if (flows != nullptr) ports.push_back(ToJson(*flows, with_rules));
  }
  return {{"mode", offload_ == OffloadMode::kMark ? "mark" : "drop"}, {"hits", hits}, {"ports", ports}};
}

config::Json Nic::Statistics() const { return config::StatisticsOf(lanes_); }

}  // namespace foreflow::dpdk
