// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/calibration_cell.h"

#include <algorithm>
#include <utility>

#include "models/wire/dissect.h"
#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/packet_builder.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::dpdk {
namespace {

constexpr std::size_t kCellsOfACapture = 12;
constexpr std::uint32_t kTurns = 8;  // VMs whose trains are interleaved
constexpr std::uint16_t kServices[] = {443, 80, 5432, 6379, 53, 8080, 5201, 22};

// `count` values, each level equally often (as far as it divides), shuffled.
template <typename T>
std::vector<T> Column(const std::vector<T>& levels, std::size_t count, Rng& rng) {
  std::vector<T> column(count);
  for (std::size_t i = 0; i < count; ++i) column[i] = levels[i % levels.size()];
  for (std::size_t i = count; i > 1; --i) {
    const std::size_t other = rng.Below(static_cast<std::uint32_t>(i));
    const T kept = column[i - 1];
    column[i - 1] = column[other];
    column[other] = kept;
  }
  return column;
}

rules::Rule ForwardAll(std::uint32_t id) {
  rules::Rule rule;
  rule.id = id;
  rule.action.verb = rules::Verb::kForward;
  return rule;
}

// Where the network header begins.
std::size_t NetworkOffset(FrameKind kind) {
  return wire::EthernetHeader::kBytes + (kind == FrameKind::kVlanTcp4 ? wire::VlanTag::kBytes : 0);
}

// Rules as access lists have them: prefixes of a few lengths, a protocol, a service's port; the last forwards
// the rest. None drops, so that every packet goes the whole way.
std::vector<rules::Rule> MakeRules(std::uint32_t count) {
  constexpr std::uint8_t kLengths[] = {8, 16, 20, 24, 28, 32};
  Rng rng(count, "calibration.rules");
  std::vector<rules::Rule> rules;
  for (std::uint32_t id = 1; id < count; ++id) {
    rules::Rule rule = ForwardAll(id);
    rule.priority = static_cast<std::int32_t>(1 + rng.Below(1000));
    if (rng.Below(2) == 0) {
      rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
      rule.destination.length = kLengths[rng.Below(6)];
      rule.destination.address = {10, static_cast<std::uint8_t>(64 + rng.Below(2))};
      if (rule.destination.length > 16)
        rule.destination.address[2] = static_cast<std::uint8_t>(rng.Below(256));
      if (rule.destination.length == 20) rule.destination.address[2] &= 0xf0;
      if (rule.destination.length == 32)
        rule.destination.address[3] = static_cast<std::uint8_t>(rng.Below(256));
      if (rule.destination.length == 8)
        rule.destination.address = {static_cast<std::uint8_t>(11 + rng.Below(90))};
    }
    if (rng.Below(3) == 0) rule.ip_protocol = rng.Below(2) == 0 ? 6 : 17;
    if (rng.Below(4) == 0) rule.vm = static_cast<flow::VmId>(1 + rng.Below(64));
    const std::uint16_t port =
        rng.Below(2) == 0 ? kServices[rng.Below(8)] : static_cast<std::uint16_t>(rng.Below(65536));
    rule.destination_port = {port, port};
    rules.push_back(rule);
  }
  rules.push_back(ForwardAll(count));
  return rules;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> Cell::Families() const {
  constexpr const char* kArms[] = {"off", "reactive", "predictive"};
  constexpr const char* kPredictors[] = {"persistence", "majority", "markov1", "markov2", "markov3"};
  constexpr const char* kKinds[] = {"tcp4", "udp4", "tcp6", "vlan_tcp4"};
  constexpr const char* kOrders[] = {"uniform", "skewed", "cyclic"};
  const bool predicts = arm == path::Arm::kPredictive;
  std::vector<std::pair<std::string, std::string>> families = {
      {"arm",
       predicts ? kPredictors[static_cast<std::size_t>(predictor)] : kArms[static_cast<std::size_t>(arm)]},
      {"rules", std::to_string(rules)},
      {"tags", tag_rules ? "yes" : "no"},
  };
  if (capture == kSynthetic) {
    families.insert(families.end(), {{"order", kOrders[static_cast<std::size_t>(order)]},
                                     {"flows", std::to_string(flows)},
                                     {"frames", kKinds[static_cast<std::size_t>(kind)]},
                                     {"group", std::to_string(group)}});
  } else {
    families.insert(families.end(), {{"capture", std::to_string(capture)}, {"paced", paced ? "yes" : "no"}});
  }
  return families;
}

std::string Cell::Describe() const {
  constexpr const char* kKinds[] = {"tcp4", "udp4", "tcp6", "vlan_tcp4"};
  constexpr const char* kOrders[] = {"uniform", "skewed", "cyclic"};
  const std::string decides =
      Families().front().second + (tag_rules ? " with tags, " : ", ") + std::to_string(rules) + " rules, ";
  if (capture != kSynthetic) {
    return decides + "capture " + std::to_string(capture) + ", " + std::to_string(entry_percent) +
           " % of its entries" +
           (paced ? ", a packet in " + std::to_string(gap.count()) + " ns" : std::string());
  }
  return decides + std::to_string(flows) + " flows in " + std::to_string(flow_entries) + " entries, " +
         kOrders[static_cast<std::size_t>(order)] + ", trains of " + std::to_string(train) + ", " +
         std::to_string(vms) + " VMs, " +
         (frame_bytes == 0 ? std::string("mixed") : std::to_string(frame_bytes)) + " B " +
         kKinds[static_cast<std::size_t>(kind)] + ", a packet in " + std::to_string(gap.count()) + " ns" +
         (group == 0 ? std::string() : ", " + std::to_string(group) + " at a time");
}

std::vector<Cell> DesignCells(std::size_t count, int captures, std::uint64_t seed) {
  using path::Arm;
  using predict::PredictorKind;
  const std::size_t synthetic = count;
  count += static_cast<std::size_t>(captures) * kCellsOfACapture;
  Rng rng(seed, "calibration.design");
  // Half predict: they do most of the kinds of work.
  const auto arm = Column<Arm>({Arm::kPredictive, Arm::kReactive, Arm::kPredictive, Arm::kOff}, count, rng);
  const auto predictor =
      Column<PredictorKind>({PredictorKind::kMarkov3, PredictorKind::kMarkov2, PredictorKind::kMarkov1,
                             PredictorKind::kMajority, PredictorKind::kPersistence, PredictorKind::kMarkov3},
                            count, rng);
  const auto flows = Column<std::uint32_t>({16, 256, 2048, 8192, 30'000, 60'000}, count, rng);
  // The device's entries by flows, in hundredths: all hit, or parts of them do.
  const auto share = Column<std::uint32_t>({200, 200, 50, 10, 2}, count, rng);
  const auto rules = Column<std::uint32_t>({1, 60, 1000}, count, rng);
  const auto tag_rules = Column<bool>({false, true}, count, rng);
  const auto vms = Column<std::uint16_t>({4, 16, 64}, count, rng);
  const auto bytes = Column<std::uint32_t>({64, 512, 1514, 0}, count, rng);
  const auto kind = Column<FrameKind>(
      {FrameKind::kTcp4, FrameKind::kUdp4, FrameKind::kTcp6, FrameKind::kVlanTcp4}, count, rng);
  const auto order =
      Column<FlowOrder>({FlowOrder::kUniform, FlowOrder::kSkewed, FlowOrder::kCyclic}, count, rng);
  const auto train = Column<std::uint32_t>({1, 4, 16}, count, rng);
  const auto gap = Column<std::int64_t>({200, 10'000, 100'000, 1'000'000}, count, rng);
  const auto group = Column<std::uint32_t>({0, 0, 0, 0, 0, 1, 4, 12}, count, rng);
  const auto paced = Column<bool>({false, true, false}, count, rng);
  const auto load = Column<std::int64_t>({3, 6}, count, rng);  // tenths of what a core can do, about
  std::vector<Cell> cells(count);
  for (std::size_t i = 0; i < count; ++i) {
    Cell& cell = cells[i];
    cell.arm = arm[i];
    cell.predictor = predictor[i];
    cell.rules = rules[i];
    cell.tag_rules = tag_rules[i];
    if (i >= synthetic) {
      cell.capture = static_cast<int>((i - synthetic) / kCellsOfACapture);
      cell.entry_percent = share[i];
      cell.paced = paced[i];
      cell.gap = Nanos((cell.arm == Arm::kPredictive ? 7000 : 1800) / load[i]);
      continue;
    }
    cell.flows = flows[i];
    cell.flow_entries =
        std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::uint64_t{flows[i]} * share[i] / 100));
    cell.vms = vms[i];
    cell.frame_bytes = bytes[i];
    cell.kind = kind[i];
    cell.order = order[i];
    cell.train = train[i];
    cell.gap = Nanos(gap[i]);
    cell.group = group[i];
  }
  return cells;
}

path::PathConfig ConfigOf(const Cell& cell) {
  path::PathConfig config;
  config.arm = cell.arm;
  config.predictor = cell.predictor;
  config.flow_entries = cell.flow_entries;
  config.rules = MakeRules(cell.rules);
  if (cell.tag_rules) {
    for (std::uint32_t type = 0; type < predict::kPacketTypes; ++type) {
      tag::TagRule rule;
      rule.id = type;
      rule.priority = static_cast<std::int32_t>(type);
      rule.types = static_cast<std::uint8_t>(1U << type);
      rule.action.verb = rules::Verb::kForward;
      rule.action.queue = 0;
      config.tag_rules.push_back(rule);
    }
    config.promotion_costs = {1, 1, 1, 50'000};
  }
  return config;
}

path::TrafficExtent ExtentOf(const Cell& cell, std::uint64_t seed, std::size_t settle, std::size_t packets) {
  CellTraffic traffic(cell, seed);
  std::array<std::uint8_t, CellTraffic::kHeaderBytes> frame;
  std::vector<std::uint32_t> flows(settle + packets);
  for (std::uint32_t& flow : flows) flow = traffic.Next(frame.data()).flow;
  return path::TrafficExtent(flows, settle);
}

CellTraffic::CellTraffic(const Cell& cell, std::uint64_t seed)
    : cell_(cell), rng_(seed, "calibration.traffic") {
  std::vector<std::uint32_t> sizes = {cell.frame_bytes};
  if (cell.frame_bytes == 0) sizes = {64, 512, 1514};
  for (const std::uint32_t size : sizes) {
    wire::PacketBuilder packet;
    packet.Ethernet();
    if (cell.kind == FrameKind::kVlanTcp4) packet.Vlan(7);
    std::size_t headers = NetworkOffset(cell.kind);
    if (cell.kind == FrameKind::kTcp6) {
      packet.Ipv6();
      headers += wire::Ipv6Header::kBytes;
    } else {
      packet.Ipv4();
      headers += wire::Ipv4Header::kBytes;
    }
    if (cell.kind == FrameKind::kUdp4) {
      packet.Udp(1024, 443);
      headers += wire::UdpHeader::kBytes;
    } else {
      packet.Tcp(1024, 443).Flags(0x18);
      headers += wire::TcpHeader::kBytes;
    }
    const std::uint32_t whole = std::max<std::uint32_t>(size, static_cast<std::uint32_t>(headers) + 2);
    const std::vector<std::uint8_t> bytes = packet.Payload(whole - headers).Build();
    Template made;
    std::copy_n(bytes.begin(), std::min(bytes.size(), kHeaderBytes), made.headers.begin());
    made.bytes = whole;
    templates_.push_back(made);
  }
  for (std::uint32_t turn = 0; turn < kTurns; ++turn) turn_.push_back(NextFlow());
}

std::uint32_t CellTraffic::NextFlow() {
  switch (cell_.order) {
    case FlowOrder::kUniform:
      return rng_.Below(cell_.flows);
    case FlowOrder::kSkewed: {
      const double draw = rng_.Real();
      return static_cast<std::uint32_t>(draw * draw * draw * static_cast<double>(cell_.flows));
    }
    default:
      cycle_ = cycle_ + 1 < cell_.flows ? cycle_ + 1 : 0;
      return cycle_;
  }
}

CellTraffic::Packet CellTraffic::Next(std::uint8_t* frame) {
  std::uint32_t& turn = turn_[rng_.Below(kTurns)];
  if (cell_.train == 1 || rng_.Below(cell_.train) == 0) turn = NextFlow();
  const std::uint32_t flow = turn;
  const Template& made =
      templates_[templates_.size() == 1 ? 0 : rng_.Below(static_cast<std::uint32_t>(templates_.size()))];
  std::copy(made.headers.begin(), made.headers.end(), frame);

  const auto vm = static_cast<std::uint16_t>(1 + flow % cell_.vms);
  frame[11] = static_cast<std::uint8_t>(vm);
  // One conversation in four is with another VM of this host.
  frame[5] = static_cast<std::uint8_t>(flow % 4 == 0 ? 1 + (flow / 4) % cell_.vms : 0xfe);
  const std::size_t network = NetworkOffset(cell_.kind);
  const bool is_v6 = cell_.kind == FrameKind::kTcp6;
  std::uint8_t* source = frame + network + (is_v6 ? 8 : 12);
  std::uint8_t* destination = source + (is_v6 ? 16 : 4);
  std::uint8_t* ports = destination + (is_v6 ? 16 : 4);
  source[is_v6 ? 15 : 3] = static_cast<std::uint8_t>(vm);
  std::uint8_t* host = destination + (is_v6 ? 12 : 0);
  host[0] = 10;
  host[1] = static_cast<std::uint8_t>(64 + (flow >> 16));
  host[2] = static_cast<std::uint8_t>(flow >> 8);
  host[3] = static_cast<std::uint8_t>(flow);
  const std::uint16_t service = kServices[flow % 8];
  ports[0] = static_cast<std::uint8_t>(4 + (flow >> 8) % 200);
  ports[1] = static_cast<std::uint8_t>(flow);
  ports[2] = static_cast<std::uint8_t>(service >> 8);
  ports[3] = static_cast<std::uint8_t>(service);

  Packet packet;
  packet.flow = flow;
  packet.vm = vm;
  packet.bytes = made.bytes;
  packet.time = now_;
  now_ += cell_.gap;
  return packet;
}

KeptTraffic Keep(const Cell& cell, std::uint64_t seed, std::size_t count) {
  KeptTraffic kept;
  kept.frames.resize(count);
  kept.arrivals.resize(count);
  CellTraffic traffic(cell, seed);
  for (std::size_t i = 0; i < count; ++i) {
    const CellTraffic::Packet packet = traffic.Next(kept.frames[i].data());
    path::Arrival& arrival = kept.arrivals[i];
    arrival.captured = {kept.frames[i].data(),
                        std::min<std::size_t>(packet.bytes, CellTraffic::kHeaderBytes)};
    arrival.wire_bytes = packet.bytes;
    arrival.vm = packet.vm;
    arrival.time = arrival.sent = packet.time;
  }
  return kept;
}

}  // namespace foreflow::dpdk
