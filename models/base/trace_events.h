// SPDX-License-Identifier: BSD-3-Clause
// Made by tools/trace_events.py from trace_events.yaml: change that file, then run
// `tools/trace_events.py write`. A test fails when the two differ.
// clang-format off
#ifndef FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_
#define FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/trace_column.h"

namespace foreflow::trace {

// Written into every trace; raised when a column changes its meaning or goes.
constexpr std::uint32_t kVersion = 1;

// One row for each packet of the input, in order of arrival.
struct PacketRow {
  std::uint64_t packet{};  // index: Position of the packet in the input that was offered, from 0.
  std::uint16_t vm{};  // id: Virtual port the packet came from: 0 is the uplink, VMs count from 1.
  std::int64_t arrival_ns{};  // ns: Time of arrival at the host stage since the start of the run.
  std::int64_t departure_ns{};  // ns: Time at which the last bit was on the wire, or -1 when the packet was dropped.
  std::uint32_t wire_bytes{};  // byte: Length of the packet on the wire without preamble and checksum.
  std::uint8_t truth{};  // enum: Type that the packets which followed showed it to be (control where it could not be decided on).
  std::uint32_t host_cycles{};  // cycle: Cycles of the host's cores spent on the packet, prediction left out.
  std::uint32_t device_cycles{};  // cycle: Cycles of the device's stations spent on the packet.
  std::uint32_t prediction_cycles{};  // cycle: Cycles spent on prediction: profiling, predicting, tagging and pre-installing on the host's cores, and the device's check of the tag.
};
inline constexpr Column kPacketRowColumns[] = {
    {"packet", ColumnType::kU64, offsetof(PacketRow, packet), 1, "index", "Position of the packet in the input that was offered, from 0.", nullptr},
    {"vm", ColumnType::kU16, offsetof(PacketRow, vm), 1, "id", "Virtual port the packet came from: 0 is the uplink, VMs count from 1.", nullptr},
    {"arrival_ns", ColumnType::kI64, offsetof(PacketRow, arrival_ns), 1, "ns", "Time of arrival at the host stage since the start of the run.", nullptr},
    {"departure_ns", ColumnType::kI64, offsetof(PacketRow, departure_ns), 1, "ns", "Time at which the last bit was on the wire, or -1 when the packet was dropped.", nullptr},
    {"wire_bytes", ColumnType::kU32, offsetof(PacketRow, wire_bytes), 1, "byte", "Length of the packet on the wire without preamble and checksum.", nullptr},
    {"truth", ColumnType::kU8, offsetof(PacketRow, truth), 1, "enum", "Type that the packets which followed showed it to be (control where it could not be decided on).", "control,request,response,bulk,stream,group,idle_burst"},
    {"host_cycles", ColumnType::kU32, offsetof(PacketRow, host_cycles), 1, "cycle", "Cycles of the host's cores spent on the packet, prediction left out.", nullptr},
    {"device_cycles", ColumnType::kU32, offsetof(PacketRow, device_cycles), 1, "cycle", "Cycles of the device's stations spent on the packet.", nullptr},
    {"prediction_cycles", ColumnType::kU32, offsetof(PacketRow, prediction_cycles), 1, "cycle", "Cycles spent on prediction: profiling, predicting, tagging and pre-installing on the host's cores, and the device's check of the tag.", nullptr},
};
template <>
inline constexpr Table kTable<PacketRow> = {
    "packets", "One row for each packet of the input, in order of arrival.", sizeof(PacketRow), kPacketRowColumns, 9};

// One row for each packet that was decided on, in the same order.
struct DecisionRow {
  std::uint64_t packet{};  // index: Position of the packet in the input that was offered.
  std::uint8_t verb{};  // enum: What was done: trap means that the host decided and forwarded.
  std::uint8_t reason{};  // enum: Why the packet went where it went.
  std::uint32_t rule{};  // id: Standard rule that decided, or 4294967295 where none did.
  std::uint32_t tag_rule{};  // id: Tag rule that chose queue, meter or mirror, or 4294967295 where none did.
  std::uint8_t queue{};  // index: Egress queue, where 0 is served first.
  std::uint8_t colour{};  // enum: Colour given by the meter (RFC 2698) and green where there is none.
  std::uint8_t tag_status{};  // enum: Result of the check of the prediction tag.
  std::uint8_t punted{};  // bool: 1 when the packet went through the slow path of the host.
  std::uint8_t mirrored{};  // bool: 1 when a copy of the packet was made.
  std::uint8_t used_prediction{};  // bool: 1 on the first use of a flow entry that a prediction had installed.
  std::uint32_t flow{};  // index: Row of the packet's flow in the table flows, or 4294967295 where it has none.
};
inline constexpr Column kDecisionRowColumns[] = {
    {"packet", ColumnType::kU64, offsetof(DecisionRow, packet), 1, "index", "Position of the packet in the input that was offered.", nullptr},
    {"verb", ColumnType::kU8, offsetof(DecisionRow, verb), 1, "enum", "What was done: trap means that the host decided and forwarded.", "forward,drop,trap"},
    {"reason", ColumnType::kU8, offsetof(DecisionRow, reason), 1, "enum", "Why the packet went where it went.", "cache_hit,cache_miss,not_offloaded,trap_rule,tag_rule,deny_rule,default_drop,meter_red,malformed,truncated,unknown_link,queue_full,station_full,same_port,rule_hit,rule_miss,rule_cover,ttl_expired,too_long,no_frame,unit_refused,not_whole,marked"},
    {"rule", ColumnType::kU32, offsetof(DecisionRow, rule), 1, "id", "Standard rule that decided, or 4294967295 where none did.", nullptr},
    {"tag_rule", ColumnType::kU32, offsetof(DecisionRow, tag_rule), 1, "id", "Tag rule that chose queue, meter or mirror, or 4294967295 where none did.", nullptr},
    {"queue", ColumnType::kU8, offsetof(DecisionRow, queue), 1, "index", "Egress queue, where 0 is served first.", nullptr},
    {"colour", ColumnType::kU8, offsetof(DecisionRow, colour), 1, "enum", "Colour given by the meter (RFC 2698) and green where there is none.", "green,yellow,red"},
    {"tag_status", ColumnType::kU8, offsetof(DecisionRow, tag_status), 1, "enum", "Result of the check of the prediction tag.", "absent,valid,forged,replayed,stale,wrong_vm"},
    {"punted", ColumnType::kU8, offsetof(DecisionRow, punted), 1, "bool", "1 when the packet went through the slow path of the host.", nullptr},
    {"mirrored", ColumnType::kU8, offsetof(DecisionRow, mirrored), 1, "bool", "1 when a copy of the packet was made.", nullptr},
    {"used_prediction", ColumnType::kU8, offsetof(DecisionRow, used_prediction), 1, "bool", "1 on the first use of a flow entry that a prediction had installed.", nullptr},
    {"flow", ColumnType::kU32, offsetof(DecisionRow, flow), 1, "index", "Row of the packet's flow in the table flows, or 4294967295 where it has none.", nullptr},
};
template <>
inline constexpr Table kTable<DecisionRow> = {
    "decisions", "One row for each packet that was decided on, in the same order.", sizeof(DecisionRow), kDecisionRowColumns, 12};

// One row for each packet whose type was predicted and whose true type became known.
struct PredictionRow {
  std::uint64_t packet{};  // index: Position of the packet in the input that was offered.
  std::uint8_t predicted{};  // enum: Type that was predicted when the packet arrived.
  std::uint8_t truth{};  // enum: Type that the packets which followed showed it to be.
  std::uint16_t confidence{};  // 1/65535: Calibrated probability given to the predicted type, where 65535 is 1.
};
inline constexpr Column kPredictionRowColumns[] = {
    {"packet", ColumnType::kU64, offsetof(PredictionRow, packet), 1, "index", "Position of the packet in the input that was offered.", nullptr},
    {"predicted", ColumnType::kU8, offsetof(PredictionRow, predicted), 1, "enum", "Type that was predicted when the packet arrived.", "control,request,response,bulk,stream,group,idle_burst"},
    {"truth", ColumnType::kU8, offsetof(PredictionRow, truth), 1, "enum", "Type that the packets which followed showed it to be.", "control,request,response,bulk,stream,group,idle_burst"},
    {"confidence", ColumnType::kU16, offsetof(PredictionRow, confidence), 1, "1/65535", "Calibrated probability given to the predicted type, where 65535 is 1.", nullptr},
};
template <>
inline constexpr Table kTable<PredictionRow> = {
    "predictions", "One row for each packet whose type was predicted and whose true type became known.", sizeof(PredictionRow), kPredictionRowColumns, 4};

// One row for each flow (one direction) that was seen, in order of its first packet.
struct FlowRow {
  std::array<std::uint8_t, 16> source_address{};  // address: Source address in network order: 16 bytes for IPv6, 4 and zeros for IPv4, the MAC without IP.
  std::array<std::uint8_t, 16> destination_address{};  // address: Destination address in the same form.
  std::uint16_t source_port{};  // port: Source port, or the identifier of an ICMP echo, or the ethertype without IP.
  std::uint16_t destination_port{};  // port: Destination port, or type * 256 + code of an ICMP message.
  std::uint16_t vm{};  // id: Virtual port that the flow comes from.
  std::uint8_t ip_protocol{};  // number: IP protocol number (IANA), 0 for packets without IP.
  std::uint8_t l3{};  // enum: Protocol of the network layer.
  std::uint64_t packets{};  // packet: Packets of the flow.
  std::uint64_t bytes{};  // byte: Bytes of the flow on the wire.
  std::int64_t first_ns{};  // ns: Arrival of the first packet since the start of the run.
  std::int64_t last_ns{};  // ns: Arrival of the last packet since the start of the run.
};
inline constexpr Column kFlowRowColumns[] = {
    {"source_address", ColumnType::kU8, offsetof(FlowRow, source_address), 16, "address", "Source address in network order: 16 bytes for IPv6, 4 and zeros for IPv4, the MAC without IP.", nullptr},
    {"destination_address", ColumnType::kU8, offsetof(FlowRow, destination_address), 16, "address", "Destination address in the same form.", nullptr},
    {"source_port", ColumnType::kU16, offsetof(FlowRow, source_port), 1, "port", "Source port, or the identifier of an ICMP echo, or the ethertype without IP.", nullptr},
    {"destination_port", ColumnType::kU16, offsetof(FlowRow, destination_port), 1, "port", "Destination port, or type * 256 + code of an ICMP message.", nullptr},
    {"vm", ColumnType::kU16, offsetof(FlowRow, vm), 1, "id", "Virtual port that the flow comes from.", nullptr},
    {"ip_protocol", ColumnType::kU8, offsetof(FlowRow, ip_protocol), 1, "number", "IP protocol number (IANA), 0 for packets without IP.", nullptr},
    {"l3", ColumnType::kU8, offsetof(FlowRow, l3), 1, "enum", "Protocol of the network layer.", "none,arp,ipv4,ipv6"},
    {"packets", ColumnType::kU64, offsetof(FlowRow, packets), 1, "packet", "Packets of the flow.", nullptr},
    {"bytes", ColumnType::kU64, offsetof(FlowRow, bytes), 1, "byte", "Bytes of the flow on the wire.", nullptr},
    {"first_ns", ColumnType::kI64, offsetof(FlowRow, first_ns), 1, "ns", "Arrival of the first packet since the start of the run.", nullptr},
    {"last_ns", ColumnType::kI64, offsetof(FlowRow, last_ns), 1, "ns", "Arrival of the last packet since the start of the run.", nullptr},
};
template <>
inline constexpr Table kTable<FlowRow> = {
    "flows", "One row for each flow (one direction) that was seen, in order of its first packet.", sizeof(FlowRow), kFlowRowColumns, 11};

// One row for each queueing station, written at the end of the run.
struct StationRow {
  std::array<char, 32> name{};  // text: Name of the station.
  std::uint32_t engines{};  // engine: Servers that work side by side.
  std::uint64_t accepted{};  // job: Jobs that were served.
  std::uint64_t refused{};  // job: Jobs that found the queue full.
  std::int64_t busy_ps{};  // ps: Time during which engines were occupied summed over engines.
  std::int64_t waited_ps{};  // ps: Time that jobs waited before service summed over jobs.
};
inline constexpr Column kStationRowColumns[] = {
    {"name", ColumnType::kText, offsetof(StationRow, name), 32, "text", "Name of the station.", nullptr},
    {"engines", ColumnType::kU32, offsetof(StationRow, engines), 1, "engine", "Servers that work side by side.", nullptr},
    {"accepted", ColumnType::kU64, offsetof(StationRow, accepted), 1, "job", "Jobs that were served.", nullptr},
    {"refused", ColumnType::kU64, offsetof(StationRow, refused), 1, "job", "Jobs that found the queue full.", nullptr},
    {"busy_ps", ColumnType::kI64, offsetof(StationRow, busy_ps), 1, "ps", "Time during which engines were occupied summed over engines.", nullptr},
    {"waited_ps", ColumnType::kI64, offsetof(StationRow, waited_ps), 1, "ps", "Time that jobs waited before service summed over jobs.", nullptr},
};
template <>
inline constexpr Table kTable<StationRow> = {
    "stations", "One row for each queueing station, written at the end of the run.", sizeof(StationRow), kStationRowColumns, 6};

// One row for each tag that failed its check.
struct AlertRow {
  std::int64_t time_ns{};  // ns: Time of the check since the start of the run.
  std::uint64_t packet{};  // index: Position of the packet in the input that was offered.
  std::uint16_t vm{};  // id: Virtual port that the packet came from.
  std::uint8_t kind{};  // enum: How the tag failed (a tag status from forged on).
};
inline constexpr Column kAlertRowColumns[] = {
    {"time_ns", ColumnType::kI64, offsetof(AlertRow, time_ns), 1, "ns", "Time of the check since the start of the run.", nullptr},
    {"packet", ColumnType::kU64, offsetof(AlertRow, packet), 1, "index", "Position of the packet in the input that was offered.", nullptr},
    {"vm", ColumnType::kU16, offsetof(AlertRow, vm), 1, "id", "Virtual port that the packet came from.", nullptr},
    {"kind", ColumnType::kU8, offsetof(AlertRow, kind), 1, "enum", "How the tag failed (a tag status from forged on).", "absent,valid,forged,replayed,stale,wrong_vm"},
};
template <>
inline constexpr Table kTable<AlertRow> = {
    "alerts", "One row for each tag that failed its check.", sizeof(AlertRow), kAlertRowColumns, 4};

// One row for each message of the peer that a live packet dynamics unit opened, in order of arrival.
struct MessageRow {
  std::int64_t arrival_ns{};  // ns: Time of arrival since the start of the run.
  std::uint64_t number{};  // index: The message's number in its session.
  std::uint32_t session{};  // id: Session of the message, a direction between two units.
  std::uint8_t type{};  // enum: What the message is.
};
inline constexpr Column kMessageRowColumns[] = {
    {"arrival_ns", ColumnType::kI64, offsetof(MessageRow, arrival_ns), 1, "ns", "Time of arrival since the start of the run.", nullptr},
    {"number", ColumnType::kU64, offsetof(MessageRow, number), 1, "index", "The message's number in its session.", nullptr},
    {"session", ColumnType::kU32, offsetof(MessageRow, session), 1, "id", "Session of the message, a direction between two units.", nullptr},
    {"type", ColumnType::kU8, offsetof(MessageRow, type), 1, "enum", "What the message is.", "data,repair,feedback,probe"},
};
template <>
inline constexpr Table kTable<MessageRow> = {
    "messages", "One row for each message of the peer that a live packet dynamics unit opened, in order of arrival.", sizeof(MessageRow), kMessageRowColumns, 4};

// One row for each stage, written at the end of the run. The columns after cycles are the items of Work.
struct WorkRow {
  std::array<char, 16> stage{};  // text: Name of the stage.
  std::uint64_t visits{};  // packet: Packets that passed the stage.
  std::uint64_t cycles{};  // cycle: Cycles charged for the stage in all.
  std::uint64_t header{};  // count: Protocol headers decoded or written.
  std::uint64_t byte_parsed{};  // byte: Bytes looked at by the dissector.
  std::uint64_t hash{};  // count: Table hashes computed.
  std::uint64_t probe{};  // count: Table slots or buckets compared.
  std::uint64_t cache_line{};  // count: Distinct lines of 64 bytes of table memory touched.
  std::uint64_t mac_word{};  // count: Words of 8 bytes put through the MAC of tags.
  std::uint64_t table_step{};  // count: Look-ups in tables of predictors.
  std::uint64_t multiply_add{};  // count: Multiply-adds of inference.
  std::uint64_t rule_compare{};  // count: Rules compared field by field.
  std::uint64_t update{};  // count: Counters, profiles or state records written.
  std::uint64_t byte_copied{};  // byte: Packet bytes copied.
  std::uint64_t install{};  // count: Entries written to the flow cache of the device.
  std::uint64_t seal{};  // count: Messages sealed or opened by a cipher.
  std::uint64_t byte_ciphered{};  // byte: Bytes of text that were sealed or opened.
};
inline constexpr Column kWorkRowColumns[] = {
    {"stage", ColumnType::kText, offsetof(WorkRow, stage), 16, "text", "Name of the stage.", nullptr},
    {"visits", ColumnType::kU64, offsetof(WorkRow, visits), 1, "packet", "Packets that passed the stage.", nullptr},
    {"cycles", ColumnType::kU64, offsetof(WorkRow, cycles), 1, "cycle", "Cycles charged for the stage in all.", nullptr},
    {"header", ColumnType::kU64, offsetof(WorkRow, header), 1, "count", "Protocol headers decoded or written.", nullptr},
    {"byte_parsed", ColumnType::kU64, offsetof(WorkRow, byte_parsed), 1, "byte", "Bytes looked at by the dissector.", nullptr},
    {"hash", ColumnType::kU64, offsetof(WorkRow, hash), 1, "count", "Table hashes computed.", nullptr},
    {"probe", ColumnType::kU64, offsetof(WorkRow, probe), 1, "count", "Table slots or buckets compared.", nullptr},
    {"cache_line", ColumnType::kU64, offsetof(WorkRow, cache_line), 1, "count", "Distinct lines of 64 bytes of table memory touched.", nullptr},
    {"mac_word", ColumnType::kU64, offsetof(WorkRow, mac_word), 1, "count", "Words of 8 bytes put through the MAC of tags.", nullptr},
    {"table_step", ColumnType::kU64, offsetof(WorkRow, table_step), 1, "count", "Look-ups in tables of predictors.", nullptr},
    {"multiply_add", ColumnType::kU64, offsetof(WorkRow, multiply_add), 1, "count", "Multiply-adds of inference.", nullptr},
    {"rule_compare", ColumnType::kU64, offsetof(WorkRow, rule_compare), 1, "count", "Rules compared field by field.", nullptr},
    {"update", ColumnType::kU64, offsetof(WorkRow, update), 1, "count", "Counters, profiles or state records written.", nullptr},
    {"byte_copied", ColumnType::kU64, offsetof(WorkRow, byte_copied), 1, "byte", "Packet bytes copied.", nullptr},
    {"install", ColumnType::kU64, offsetof(WorkRow, install), 1, "count", "Entries written to the flow cache of the device.", nullptr},
    {"seal", ColumnType::kU64, offsetof(WorkRow, seal), 1, "count", "Messages sealed or opened by a cipher.", nullptr},
    {"byte_ciphered", ColumnType::kU64, offsetof(WorkRow, byte_ciphered), 1, "byte", "Bytes of text that were sealed or opened.", nullptr},
};
template <>
inline constexpr Table kTable<WorkRow> = {
    "work", "One row for each stage, written at the end of the run. The columns after cycles are the items of Work.", sizeof(WorkRow), kWorkRowColumns, 17};

// Every table, in the order of the declaration.
inline constexpr const Table* kTables[] = {
    &kTable<PacketRow>,
    &kTable<DecisionRow>,
    &kTable<PredictionRow>,
    &kTable<FlowRow>,
    &kTable<StationRow>,
    &kTable<AlertRow>,
    &kTable<MessageRow>,
    &kTable<WorkRow>,
};

}  // namespace foreflow::trace

#endif  // FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_
