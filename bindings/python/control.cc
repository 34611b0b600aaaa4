// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/config/classbench.h"
#include "bindings/config/run_config.h"
#include "bindings/python/module.h"
#include "models/base/refusal.h"
#include "models/control/counter.h"
#include "models/control/secure_peers.h"
#include "models/predict/packet_type.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::python {
namespace {

std::array<std::uint8_t, 32> Key(const py::bytes& bytes, const char* name) {
  const std::string text = bytes;
  std::array<std::uint8_t, 32> key;
  if (text.size() != key.size()) {
    throw Refusal("argument", name, std::to_string(text.size()) + " bytes", "32 bytes");
  }
  std::copy(text.begin(), text.end(), key.begin());
  return key;
}

// A row of a profile as Python has it, in the order of wire::ControlProfileRow; addresses of 16 bytes.
using ProfileRow = std::tuple<py::bytes, py::bytes, std::uint16_t, std::uint16_t, std::uint8_t, std::uint8_t,
                              std::uint16_t, std::uint16_t, std::uint16_t, std::uint8_t, std::uint32_t>;

std::array<std::uint8_t, 16> Address(const py::bytes& bytes) {
  const std::string text = bytes;
  std::array<std::uint8_t, 16> address;
  if (text.size() != address.size()) {
    throw Refusal("argument", "rows", "an address of " + std::to_string(text.size()) + " bytes", "16 bytes");
  }
  std::copy(text.begin(), text.end(), address.begin());
  return address;
}

wire::ControlProfileRow FromPython(const ProfileRow& from) {
  wire::ControlProfileRow row;
  row.source_address = Address(std::get<0>(from));
  row.destination_address = Address(std::get<1>(from));
  std::tie(std::ignore, std::ignore, row.source_port, row.destination_port, row.ip_protocol, row.l3, row.vlan,
           row.confidence, row.type_confidence, row.packet_type, row.horizon_us) = from;
  return row;
}

py::bytes ToPython(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }

ProfileRow ToPython(const wire::ControlProfileRow& row) {
  return {ToPython(BytesView{row.source_address.data(), row.source_address.size()}),
          ToPython(BytesView{row.destination_address.data(), row.destination_address.size()}),
          row.source_port,
          row.destination_port,
          row.ip_protocol,
          row.l3,
          row.vlan,
          row.confidence,
          row.type_confidence,
          row.packet_type,
          row.horizon_us};
}

constexpr std::array<const char*, wire::kLastStatisticsKind + 1> kStatisticsKinds = {
    "counters", "rules", "tag_rules", "tag_classes"};

std::string TagClassName(std::uint32_t id) {
  for (std::uint32_t type = 0; type < predict::kPacketTypes; ++type) {
    for (std::uint32_t status = 0; status < static_cast<std::uint32_t>(tag::TagStatus::kCount); ++status) {
      if (control::TagClassOf(type, status) != id) continue;
      return std::string(predict::Name(static_cast<predict::PacketType>(type))) + "_" +
             tag::Name(static_cast<tag::TagStatus>(status));
    }
  }
  return {};
}

// A controller and its end of the channel, without sockets and clock.
class ControlCore {
 public:
  ControlCore(const py::bytes& secret, const py::bytes& device, const py::bytes& seed, std::int64_t now,
              double update_interval, double retransmit, bool is_constant_work)
      : core_(control::ControlChannel(crypto::SecretKey(Key(secret, "secret")), {{Key(device, "device"), 0}}),
              Key(seed, "seed"), ConfigOf(update_interval, retransmit, is_constant_work),
              static_cast<std::uint64_t>(now)) {}

  py::list Connect(std::int64_t now) {
    return Sent([&](const control::SendPacket& send) { core_.Connect({{}, 1}, Nanos(now), send); });
  }
  py::list Input(const py::bytes& packet, std::int64_t now) {
    std::string copy = packet;  // decrypted in place
    return Sent([&](const control::SendPacket& send) {
      core_.Input({reinterpret_cast<std::uint8_t*>(copy.data()), copy.size()}, {{}, 1}, Nanos(now), send);
    });
  }
  py::list Tick(std::int64_t now) {
    return Sent([&](const control::SendPacket& send) { core_.Tick(Nanos(now), send); });
  }
  py::list Close(std::int64_t now) {
    return Sent([&](const control::SendPacket& send) { core_.Close(Nanos(now), send); });
  }
  std::int64_t NextTick() const { return core_.NextTick().count(); }

  void Replace(const std::string& json) {
    const std::vector<rules::Rule> rules = Parse(json);
    std::vector<std::uint32_t> ids;
    for (const rules::Rule& rule : rules) ids.push_back(rule.id);
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end()) {
      throw Refusal("rules: id " + std::to_string(*twice) + " is used twice; ids are unique");
    }
    core_.controller().Replace(rules);
    has_rules_ = true;
  }
  void Put(const std::string& json) {
    RequireRules();
    for (const rules::Rule& rule : Parse(json)) {
      const bool is_there = core_.controller().wanted().Find(rule.id) != nullptr;
      core_.controller().Change(
          {is_there ? rules::RuleOperation::kModify : rules::RuleOperation::kInsert, rule});
    }
  }
  bool Erase(std::uint32_t id) {
    RequireRules();
    rules::Rule rule;
    rule.id = id;
    return core_.controller().Change({rules::RuleOperation::kErase, rule});
  }
  std::uint64_t RotateKeys(std::uint64_t epoch, const py::bytes& key, double overlap) {
    wire::ControlKeyRotation rotation;
    const std::string text = key;
    if (text.size() != rotation.key.size()) {
      throw Refusal("argument", "key", std::to_string(text.size()) + " bytes", "16 bytes");
    }
    if (!(overlap >= 0 && overlap <= 3600)) {
      throw Refusal("argument", "overlap", std::to_string(overlap), "0 .. 3600 seconds");
    }
    std::copy(text.begin(), text.end(), rotation.key.begin());
    rotation.epoch = epoch;
    rotation.overlap_us = static_cast<std::uint32_t>(overlap * 1e6);
    return core_.controller().RotateKeys(rotation);
  }
  std::uint64_t ReadStatistics(const std::string& kind, std::uint32_t first) {
    const auto* const found = std::find(kStatisticsKinds.begin(), kStatisticsKinds.end(), kind);
    if (found == kStatisticsKinds.end()) {
      throw Refusal("argument", "kind", kind, "counters, rules, tag_rules, tag_classes");
    }
    return core_.controller().ReadStatistics(
        static_cast<wire::StatisticsKind>(found - kStatisticsKinds.begin()), first);
  }
  std::uint64_t ReadProfile(std::uint16_t vm) { return core_.controller().ReadProfile(vm); }
  std::uint64_t SendProfile(std::uint16_t vm, const std::vector<ProfileRow>& rows) {
    if (rows.size() > control::kMostProfileRows) {
      throw Refusal("argument", "rows", std::to_string(rows.size()),
                    "0 .. " + std::to_string(control::kMostProfileRows));
    }
    std::vector<wire::ControlProfileRow> profile;
    for (const ProfileRow& row : rows) profile.push_back(FromPython(row));
    return core_.controller().SendProfile(vm, profile);
  }

  py::list TakeEvents() {
    py::list events;
    for (control::ControllerEvent event; core_.controller().TakeEvent(event);) {
      py::dict one;
      switch (event.kind) {
        case control::ControllerEvent::Kind::kInForce:
          one["kind"] = "in_force";
          break;
        case control::ControllerEvent::Kind::kRefused:
          one["kind"] = "refused";
          one["reason"] = wire::Name(event.refusal.reason);
          one["sentence"] = py::str(py::bytes(event.sentence).attr("decode")("utf-8", "replace"));
          one["rule"] = event.refusal.rule == wire::ControlRefusal::kNoRule ? py::object(py::none())
                                                                            : py::int_(event.refusal.rule);
          break;
        case control::ControllerEvent::Kind::kDone:
          one["kind"] = "done";
          break;
        case control::ControllerEvent::Kind::kReport: {
          one["kind"] = "report";
          py::list rows;
          for (const auto& row : event.rows) rows.append(py::make_tuple(row.id, row.packets, row.bytes));
          one["rows"] = rows;
          one["next"] = event.report.next == wire::ControlStatisticsReport::kNoMore
                            ? py::object(py::none())
                            : py::int_(event.report.next);
          break;
        }
        case control::ControllerEvent::Kind::kProfile: {
          one["kind"] = "profile";
          one["vm"] = event.vm;
          py::list rows;
          for (const auto& row : event.profile) rows.append(ToPython(row));
          one["rows"] = rows;
          break;
        }
      }
      one["generation"] = event.generation;
      one["number"] = event.number;
      events.append(one);
    }
    return events;
  }

  bool IsConnected() const { return core_.IsConnected(); }
  bool IsInForce() { return core_.controller().IsInForce(); }
  std::uint64_t Generation() { return core_.controller().generation(); }
  std::size_t Rules() { return core_.controller().wanted().size(); }
  py::dict Counts() {
    const auto& counts = core_.controller().counts();
    py::dict all;
    all["batches"] = counts.batches;
    all["whole"] = counts.whole;
    all["messages"] = counts.messages;
    all["bytes"] = counts.bytes;
    all["parts"] = counts.parts;
    all["refused"] = counts.refused;
    return all;
  }

 private:
  // A change alone would say that the device should have nothing else.
  void RequireRules() const {
    if (!has_rules_) throw Refusal("rules: replace says first which rules the device should have");
  }
  static std::vector<rules::Rule> Parse(const std::string& json) {
    if (config::IsClassBench(json)) return config::ParseClassBench("rules", json);
    return config::ParseRules("rules", json, rules::kNoMeter);
  }
  static control::ControllerConfig ConfigOf(double update_interval, double retransmit,
                                            bool is_constant_work) {
    for (const double seconds : {update_interval, retransmit}) {
      if (!(seconds >= 0 && seconds <= 3600)) {
        throw Refusal("argument", "update_interval or retransmit", std::to_string(seconds),
                      "0 .. 3600 seconds");
      }
    }
    control::ControllerConfig config;
    config.update_interval = Nanos(static_cast<std::int64_t>(update_interval * 1e9));
    config.retransmit = std::max(Micros(10), Nanos(static_cast<std::int64_t>(retransmit * 1e9)));
    config.is_constant_work = is_constant_work;
    return config;
  }
  template <typename Call>
  py::list Sent(const Call& call) {
    py::list packets;
    call([&](const crypto::ChannelAddress&, BytesView packet) { packets.append(ToPython(packet)); });
    return packets;
  }

  control::SecureController core_;
  bool has_rules_ = false;
};

py::bytes PublicKeyOf(const py::bytes& secret) {
  const crypto::PublicKey key = crypto::PublicKeyOf(crypto::SecretKey(Key(secret, "secret")));
  return ToPython({key.data(), key.size()});
}

}  // namespace

void BindControl(py::module_& module) {
  module.def("public_key_of", &PublicKeyOf, py::arg("secret"), "X25519: the public key of 32 secret bytes.");
  module.def("tag_class_name", &TagClassName, py::arg("id"),
             "Of a row of a report of tag classes: type_status; empty where unknown.");
  module.attr("MOST_PROFILE_ROWS") = control::kMostProfileRows;
  module.def("counter_name", &control::CounterName, py::arg("id"),
             "Of a row of a report of counters; empty where unknown.");
  py::class_<ControlCore>(
      module, "ControlCore",
      "The controller's end of the control protocol, in the secure channel, without sockets: methods "
      "that take a time (UTC in nanoseconds) return the packets to be sent.")
      .def(py::init<const py::bytes&, const py::bytes&, const py::bytes&, std::int64_t, double, double,
                    bool>(),
           py::arg("secret"), py::arg("device"), py::arg("seed"), py::arg("now"),
           py::arg("update_interval") = 0.0, py::arg("retransmit") = 0.2, py::arg("constant_work") = false,
           "Keys and seed are 32 bytes; the seed is secret and never used twice. Intervals in seconds, 0 .. "
           "3600. `now` is later than in every core that had this key before.")
      .def("connect", &ControlCore::Connect, py::arg("now"), "Seeks the device, again and again until close.")
      .def("input", &ControlCore::Input, py::arg("packet"), py::arg("now"),
           "A packet that came: a datagram's bytes, or a frame's.")
      .def("tick", &ControlCore::Tick, py::arg("now"),
           "What is due, and what changes and requests need: to be called after them, and at next_tick.")
      .def("close", &ControlCore::Close, py::arg("now"), "Tells the device that nobody is there any more.")
      .def_property_readonly("next_tick", &ControlCore::NextTick,
                             "When tick has something to do next, in ns; far in the future where nothing is.")
      .def("replace", &ControlCore::Replace, py::arg("rules_json"),
           "All rules that the device should have: a JSON list, or the text of a filter set in ClassBench's "
           "form. Ids are unique.")
      .def("put", &ControlCore::Put, py::arg("rules_json"),
           "Adds rules, or replaces those of the same id. After the first replace.")
      .def("erase", &ControlCore::Erase, py::arg("id"),
           "False where there is no such rule. After the first replace.")
      .def("rotate_keys", &ControlCore::RotateKeys, py::arg("epoch"), py::arg("key"), py::arg("overlap"),
           "The request's number, or 0 where too many wait, like the next three; overlap in seconds, 0 .. "
           "3600, key of 16 bytes, epoch later than every one before.")
      .def(
          "read_statistics", &ControlCore::ReadStatistics, py::arg("kind"), py::arg("first") = 0,
          "The request's number; kind is counters, rules, tag_rules or tag_classes; rows of ids from `first` "
          "on.")
      .def("read_profile", &ControlCore::ReadProfile, py::arg("vm"), "The request's number.")
      .def("send_profile", &ControlCore::SendProfile, py::arg("vm"), py::arg("rows"),
           "The request's number. Rows are (source and destination address, 16 bytes each, source and "
           "destination port, protocol, l3, VLAN key, confidence, type's confidence, type, horizon in us).")
      .def("take_events", &ControlCore::TakeEvents,
           "What was learnt since the last call, in order: [{kind, generation, number, ...}]. kind is "
           "in_force; refused, with reason, sentence and rule (None: of no rule); done; report, with rows "
           "[(id, packets, bytes)] and next (the id to go on with, None: that was all); or profile, with vm "
           "and rows as send_profile takes them.")
      .def_property_readonly("is_connected", &ControlCore::IsConnected, "Whether there is a session.")
      .def_property_readonly("is_in_force", &ControlCore::IsInForce,
                             "Whether the device said that it has the rules it should.")
      .def_property_readonly("generation", &ControlCore::Generation,
                             "Of the rules that the device said it has.")
      .def_property_readonly("rules", &ControlCore::Rules, "How many rules the device should have.")
      .def_property_readonly(
          "counts", &ControlCore::Counts,
          "{batches, whole, messages, bytes, parts, refused}: batches issued and, of them, "
          "whole sets; what was sent; refusals received.");
}

}  // namespace foreflow::python
