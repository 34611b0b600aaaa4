// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "bindings/dataset/tasks.h"
#include "models/base/hash.h"
#include "models/flow/tcp_state.h"
#include "models/predict/fixed_log.h"
#include "models/wire/ipv4.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::dataset {
namespace {

enum Column : std::size_t { kSize, kDuration, kRate, kComplexity, kCriticality, kColumns };
constexpr std::array<std::uint32_t, 4> kAsked = {0, 1, 5, 20};
constexpr std::uint32_t kNoFlow = UINT32_MAX;
constexpr std::uint16_t kServicePorts = 1024;
constexpr Nanos kLeastDuration = Millis(1);

using Template = std::tuple<std::uint8_t, std::uint32_t, std::uint8_t, std::uint8_t, std::uint8_t>;

struct Flow {
  flow::VmId vm = 0;  // who opened it
  Nanos first, last;
  std::uint32_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint32_t waited_for = 0;
  flow::ConnectionState connection;
  predict::ConversationState state;
  std::set<Template> templates;
  std::vector<std::size_t> rows;  // whose targets are asked for
};

// What is remembered of the flows of a VM, or of those between two hosts that use the same service.
struct Memory {
  std::uint32_t latest = kNoFlow;
  std::uint32_t count = 0;
  std::int32_t mean = 0;  // of log2(1 + bytes), exponentially weighted, in units of 2^-12
};

bool HasPorts(const flow::FlowKey& key) {
  return key.ip_protocol == wire::kProtocolTcp || key.ip_protocol == wire::kProtocolUdp;
}
std::uint16_t ServiceOf(const flow::FlowKey& key) {
  return HasPorts(key) ? std::min(key.source_port, key.destination_port) : key.destination_port;
}

// The conversation's key without the port that a client chooses.
flow::FlowKey PeersOf(const flow::FlowKey& key) {
  flow::FlowKey peers = flow::Canonical(key);
  peers.source_port = HasPorts(key) ? 0 : peers.source_port;
  peers.destination_port = ServiceOf(peers);
  return peers;
}

std::int32_t LogBytes(std::uint64_t bytes) {
  return static_cast<std::int32_t>(
      predict::Log2(static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX - 1) + 1)));
}

// The latest flow enters the mean with what it has carried by now.
void Fold(const std::vector<Flow>& flows, Memory& memory) {
  if (memory.latest == kNoFlow) return;
  const std::int32_t log = LogBytes(flows[memory.latest].bytes);
  memory.mean = memory.count == 0 ? log : memory.mean + (log - memory.mean) / 4;
  ++memory.count;
}

float MeanInput(const Memory& memory) { return static_cast<float>(memory.mean) * 0x1p-17F; }

class Maker {
 public:
  explicit Maker(Made& made) : made_(made), vms_(std::size_t{UINT16_MAX} + 1), senders_(vms_.size()) {
    made.rows.values.resize(kColumns);
    made.rows.classes.resize(kColumns);
    made.known_ns.resize(kColumns);
  }

  void Take(const Packet& packet) {
    const std::array<std::uint8_t, 4> context = contexts_.Next(packet);
    predict::SenderState& sender = senders_[packet.summary.key.vm];
    const predict::SenderState before = sender;
    const bool begins = Begins(packet);
    if (begins) Begin(packet);
    Flow& flow = flows_[of_conversation_[packet.conversation]];
    if (begins) AddBirth(packet, before, context, flow);
    predict::SequenceInputs inputs;
    SequenceStep(packet.summary, packet.direction, flow.state, sender, inputs);
    Account(packet, flow);
    if (flow.packets <= FlowSize::kSteps) Add(packet, inputs, context, flow);
  }

  void Finish(Nanos end, Nanos horizon) {
    for (const Flow& flow : flows_) {
      const bool closed = flow.connection.phase() == flow::Phase::kClosed;
      if (!closed && end - flow.last <= FlowSize::kSilence) continue;
      const Nanos known = flow.last + (closed ? horizon : FlowSize::kSilence);
      const double nanos = static_cast<double>((flow.last - flow.first).count());
      const double seconds = std::max(nanos, static_cast<double>(kLeastDuration.count())) * 1e-9;
      const double bytes = static_cast<double>(flow.bytes);
      const double values[kColumns] = {
          std::log2(bytes), std::log2(1 + nanos * 1e-3), std::log2(8 * bytes / seconds),
          static_cast<double>(flow.templates.size()), static_cast<double>(flow.waited_for) / flow.packets};
      for (const std::size_t row : flow.rows) {
        made_.rows.resolved_ns[row] = known.count();
        for (std::size_t t = 0; t < kColumns; ++t) {
          made_.rows.values[t][row] = static_cast<float>(values[t]);
          made_.known_ns[t][row] = known.count();
        }
      }
    }
  }

 private:
  bool Begins(const Packet& packet) const {
    if (packet.conversation >= of_conversation_.size()) return true;
    const std::uint32_t number = of_conversation_[packet.conversation];
    if (number == kNoFlow) return true;
    const Flow& flow = flows_[number];
    if (packet.summary.arrival - flow.last > FlowSize::kSilence) return true;
    const std::uint8_t flags = packet.summary.tcp_flags;
    return flow.connection.phase() == flow::Phase::kClosed && (flags & wire::kTcpSyn) != 0 &&
           (flags & wire::kTcpAck) == 0;
  }

  void Begin(const Packet& packet) {
    if (packet.conversation >= of_conversation_.size()) {
      of_conversation_.resize(packet.conversation + std::size_t{1}, kNoFlow);
    }
    const auto number = static_cast<std::uint32_t>(flows_.size());
    of_conversation_[packet.conversation] = number;
    flows_.emplace_back();
    flows_.back().first = packet.summary.arrival;
    flows_.back().vm = packet.summary.key.vm;
    Memory& vm = vms_[packet.summary.key.vm];
    Memory& peers = between_[PeersOf(packet.summary.key)];
    Fold(flows_, vm);
    Fold(flows_, peers);
    birth_history_.push_back({predict::LogInput(peers.latest == kNoFlow ? 0 : flows_[peers.latest].bytes),
                              MeanInput(peers), predict::LogInput(peers.count), MeanInput(vm)});
    vm.latest = peers.latest = number;
  }

  void AddBirth(const Packet& packet, const predict::SenderState& sender,
                const std::array<std::uint8_t, 4>& context, Flow& flow) {
    predict::SequenceInputs inputs;
    const std::uint64_t gap =
        sender.has_arrival
            ? static_cast<std::uint64_t>((packet.summary.arrival - sender.last_arrival).count())
            : UINT64_MAX;
    inputs.value = {predict::LogInput(UINT64_MAX), predict::LogInput(gap >> 10), 0, 0};
    const bool is_service = HasPorts(packet.summary.key) && ServiceOf(packet.summary.key) < kServicePorts;
    Add(packet, inputs, context, flow);
    made_.rows.symbol.back() = static_cast<std::uint8_t>(FlowSize::kBirthSymbol + (is_service ? 1 : 0));
  }

  void Account(const Packet& packet, Flow& flow) {
    flow::ConnectionPacket step;
    step.side = packet.direction;
    step.is_tcp = packet.summary.key.ip_protocol == wire::kProtocolTcp;
    step.tcp_flags = packet.summary.tcp_flags;
    step.sequence = packet.sequence;
    step.acknowledgement = packet.acknowledgement;
    step.payload_bytes = packet.summary.payload_bytes;
    flow.connection.Track(step);
    flow.last = packet.summary.arrival;
    ++flow.packets;
    flow.bytes += packet.summary.wire_bytes;
    if (packet.type == predict::PacketType::kRequest || packet.type == predict::PacketType::kResponse)
      ++flow.waited_for;
    const auto flags = static_cast<std::uint8_t>(packet.summary.tcp_flags & ~wire::kTcpPsh);
    flow.templates.emplace(packet.direction, packet.header_bytes, flags, packet.ttl, packet.traffic_class);
  }

  void Add(const Packet& packet, const predict::SequenceInputs& inputs,
           const std::array<std::uint8_t, 4>& context, Flow& flow) {
    const std::uint32_t number = of_conversation_[packet.conversation];
    Rows& rows = made_.rows;
    const bool asked = std::find(kAsked.begin(), kAsked.end(), flow.packets) != kAsked.end();
    if (asked && flow.vm != 0) flow.rows.push_back(rows.size());
    AddRow(packet, number, inputs, context, rows);
    rows.vm.back() = flow.vm;
    rows.known_packets.back() = static_cast<std::uint8_t>(flow.packets);
    rows.inputs.insert(rows.inputs.end(), birth_history_[number].begin(), birth_history_[number].end());
    const auto age = static_cast<std::uint64_t>((packet.summary.arrival - flow.first).count());
    for (const std::uint64_t known : {std::uint64_t{flow.packets}, flow.bytes, age >> 10}) {
      rows.inputs.push_back(predict::LogInput(known));
    }
    for (std::size_t t = 0; t < kColumns; ++t) {
      rows.values[t].push_back(std::numeric_limits<float>::quiet_NaN());
      made_.known_ns[t].push_back(-1);
    }
  }

  struct KeyHash {
    std::size_t operator()(const flow::FlowKey& key) const { return KeyHasher(0)(&key); }
  };

  Made& made_;
  VmContexts contexts_;
  std::vector<Flow> flows_;
  std::vector<std::array<float, 4>> birth_history_;  // by flow
  std::vector<std::uint32_t> of_conversation_;
  std::vector<Memory> vms_;
  std::unordered_map<flow::FlowKey, Memory, KeyHash> between_;  // looked up only
  std::vector<predict::SenderState> senders_;
};

}  // namespace

Made FlowSize::RowsOf(const std::vector<Packet>& packets, Nanos horizon) {
  Made made;
  Maker maker(made);
  for (const Packet& packet : packets) maker.Take(packet);
  if (!packets.empty()) maker.Finish(packets.back().summary.arrival, horizon);
  return made;
}

Description FlowSize::Describe() const {
  Description description;
  description.task = "flow-size";
  description.feature_set = predict::kSequenceFeatureSet;
  description.symbols = kBirthSymbol + 2;
  description.input_names = SequenceInputNames();
  for (const char* name :
       {"peers_last", "peers_mean", "peers_flows", "vm_mean", "known_packets", "known_bytes", "age"}) {
    description.input_names.emplace_back(name);
  }
  description.targets = {{"size", {}, "log2 bytes"},
                         {"duration", {}, "log2 (1 + microseconds)"},
                         {"rate", {}, "log2 bits a second"},
                         {"complexity", {}, "header templates"},
                         {"criticality", {}, "share of packets"}};
  return description;
}

}  // namespace foreflow::dataset
