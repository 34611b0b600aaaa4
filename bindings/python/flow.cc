// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "bindings/hdf5/path_trace.h"
#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "models/flow/flow_table.h"

namespace foreflow::python {
namespace {

using flow::FlowKey;
using flow::FlowTable;
using SlotArray = py::array_t<flow::Slot>;

FlowTable MakeTable(std::size_t capacity, std::size_t vms, std::uint64_t seed) {
  flow::FlowTableConfig config;
  config.capacity = capacity;
  config.vms = vms;
  config.seed = seed;
  return FlowTable(config);
}

SlotArray Insert(FlowTable& table, const KeyArray& keys, std::int64_t now) {
  SlotArray slots(keys.size());
  Work work;
  for (py::ssize_t i = 0; i < keys.size(); ++i) {
    slots.mutable_data()[i] = table.FindOrInsert(keys.data()[i], Nanos(now), work).slot;
  }
  return slots;
}

SlotArray Find(const FlowTable& table, const KeyArray& keys) {
  SlotArray slots(keys.size());
  Work work;
  table.FindBulk(keys.data(), static_cast<std::size_t>(keys.size()), slots.mutable_data(), work);
  return slots;
}

std::size_t Erase(FlowTable& table, const KeyArray& keys) {
  Work work;
  std::size_t erased = 0;
  for (py::ssize_t i = 0; i < keys.size(); ++i) erased += table.Erase(keys.data()[i], work) ? 1U : 0U;
  return erased;
}

std::size_t Expire(FlowTable& table, std::int64_t now) {
  Work work;
  flow::FlowRecord gone;
  std::size_t expired = 0;
  while (table.Expire(Nanos(now), gone, work)) ++expired;
  return expired;
}

trace::FlowRow RowOf(const flow::FlowRecord& record) {
  trace::FlowRow row = hdf5::FlowRowOf(record.key);
  row.packets = record.packets;
  row.bytes = record.bytes;
  row.first_ns = record.first.count();
  row.last_ns = record.last.count();
  return row;
}

py::array Records(const FlowTable& table) {
  std::vector<trace::FlowRow> rows;
  rows.reserve(table.size());
  for (flow::Slot slot = table.First(); slot != flow::kNoSlot; slot = table.After(slot)) {
    rows.push_back(RowOf(table.record(slot)));
  }
  return ToArray(std::move(rows), DtypeOf(trace::kTable<trace::FlowRow>));
}

}  // namespace

void BindFlow(py::module_& module) {
  PYBIND11_NUMPY_DTYPE(FlowKey, source_address, destination_address, source_port, destination_port, vm,
                       ip_protocol, l3);
  module.attr("FLOW_KEY") = py::dtype::of<FlowKey>();
  module.attr("NO_SLOT") = flow::kNoSlot;
  py::class_<FlowTable>(module, "FlowTable", "Flows in progress: bounded in all and for each VM.")
      .def(py::init(&MakeTable), py::arg("capacity"), py::arg("vms") = 1, py::arg("seed") = 0,
           "capacity flows, 1 .. 2^30, of which each of vms, 1 .. 65536 and at most capacity, is sure of "
           "its share; the seed is of the hash.")
      .def("insert", &Insert, py::arg("keys"), py::arg("now_ns"),
           "Finds or begins each flow, in turn; the slots, uint32, one a key (FLOW_KEY, one axis).")
      .def("find", &Find, py::arg("keys"), "The slots, uint32, NO_SLOT where a flow is not held.")
      .def("erase", &Erase, py::arg("keys"), "Removes flows; how many were held.")
      .def("expire", &Expire, py::arg("now_ns"), "Removes what has expired; how many.")
      .def("records", &Records, "All flows in order of insertion, as rows of the flows table.")
      .def("__len__", &FlowTable::size)
      .def_property_readonly("capacity", &FlowTable::capacity, "Flows that it has room for.")
      .def_property_readonly("bytes", &FlowTable::bytes, "Memory in all, which does not grow.");
}

}  // namespace foreflow::python
