// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/config/report_json.h"
#include "bindings/hdf5/path_trace.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/time_map.h"
#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "bindings/python/wire.h"

namespace foreflow::python {
namespace {

using pcap::Capture;

struct RecordFields {
  std::int64_t time_ns;
  std::uint32_t wire_bytes;
  std::uint32_t captured_bytes;
  std::uint8_t link;
};

py::object FromJson(const config::Json& json) {
  return py::module_::import("json").attr("loads")(config::ToText(json));
}

py::array_t<RecordFields> Records(const Capture& capture) {
  py::array_t<RecordFields> fields(static_cast<py::ssize_t>(capture.records.size()));
  RecordFields* out = fields.mutable_data();
  for (const pcap::Record& record : capture.records) {
    *out++ = {record.time.count(), record.wire_bytes, static_cast<std::uint32_t>(record.captured.size),
              static_cast<std::uint8_t>(record.link)};
  }
  return fields;
}

py::bytes BytesOf(const Capture& capture, std::size_t index) {
  if (index >= capture.records.size()) throw py::index_error("record " + std::to_string(index));
  const BytesView view = capture.records[index].captured;
  return py::bytes(reinterpret_cast<const char*>(view.data), view.size);
}

py::array_t<wire::Dissection> DissectAll(const Capture& capture) {
  py::array_t<wire::Dissection> all(static_cast<py::ssize_t>(capture.records.size()));
  wire::Dissection* out = all.mutable_data();
  Work work;
  for (const pcap::Record& record : capture.records) {
    *out++ = wire::Dissect(record.link, record.captured, record.wire_bytes, work);
  }
  return all;
}

// The keys of the packets that can be decided on, in order of time.
KeyArray Keys(const Capture& capture, std::uint16_t vms) {
  std::vector<flow::FlowKey> keys;
  for (const path::Arrival& arrival : pcap::MapRecorded(capture, vms).arrivals) {
    const path::Parsed parsed = path::Parse(arrival);
    if (parsed.decidable) keys.push_back(parsed.key);
  }
  return KeyArray(static_cast<py::ssize_t>(keys.size()), keys.data());
}

py::dict Replay(const Capture& capture, const std::optional<std::string>& config_json) {
  config::RunConfig config =
      config_json ? config::ParseRunConfig("config", *config_json) : pcap::DefaultReplayConfig();
  config::LoadModels(config);
  config::LoadFilters(config);
  std::vector<trace::DecisionRow> decisions;
  decisions.reserve(capture.records.size());
  pcap::ReplayResult result;
  {
    const py::gil_scoped_release others_may_run;
    result = pcap::Replay(
        capture, config, nullptr,
        [&](std::uint64_t packet, const path::Arrival&, const path::Verdict& verdict,
            const path::StageWork&) { decisions.push_back(hdf5::DecisionRowOf(packet, verdict)); });
  }
  py::dict answer;
  answer["capture"] = capture.name;
  answer["door"] = "pcap";
  answer["config"] = FromJson(config::ToJson(result.path));
  answer["packets"] = FromJson(config::ToJson(result.packets));
  answer["fingerprint"] = result.fingerprint;
  answer["counters"] = FromJson(config::ToJson(result.counters));
  answer["models"] = FromJson(result.models);
  answer["distinct_entries"] = result.distinct_entries;
  answer["vms"] = result.vms;
  answer["notes"] = result.notes;
  answer["decisions"] = ToArray(std::move(decisions), DtypeOf(trace::kTable<trace::DecisionRow>));
  return answer;
}

}  // namespace

void BindPcap(py::module_& module) {
  PYBIND11_NUMPY_DTYPE(RecordFields, time_ns, wire_bytes, captured_bytes, link);
  module.attr("RECORD") = py::dtype::of<RecordFields>();
  py::list reasons;
  for (std::size_t i = 0; i < kReasons; ++i) reasons.append(Name(static_cast<Reason>(i)));
  module.attr("REASONS") = py::tuple(reasons);
  py::class_<Capture>(module, "Capture", "A pcap or pcapng file in memory.")
      .def(py::init(&pcap::LoadCapture), py::arg("path"), "Either form, gzip-compressed or not.")
      .def_readonly("name", &Capture::name, "The path it was read from.")
      .def_readonly("notes", &Capture::notes, "Sentences: what was odd about the file.")
      .def("__len__", [](const Capture& capture) { return capture.records.size(); })
      .def("records", &Records, "One RECORD a packet, in file order; link is an index into LINKS.")
      .def("bytes", &BytesOf, py::arg("index"),
           "The captured bytes of a packet, 0 .. len - 1 in file order; IndexError beyond.")
      .def("dissect", &DissectAll, "One DISSECTION a packet, in file order.")
      .def("keys", &Keys, py::arg("vms") = 64,
           "One FLOW_KEY for each decidable packet, in order of time; senders beyond the first `vms` are VM "
           "0.");
  module.def(
      "replay", &Replay, py::arg("capture"), py::arg("config_json") = std::nullopt,
      "Decides on a capture at its recorded times, by a resolved configuration as JSON text; left out, "
      "by the defaults and one rule that forwards everything. {capture, door, config, packets, "
      "fingerprint, counters, models, distinct_entries, vms, notes, decisions}; decisions are rows of "
      "the decisions table, in order of time.");
}

}  // namespace foreflow::python
