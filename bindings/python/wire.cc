// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/python/wire.h"

#include <pybind11/stl.h>

#include <optional>

#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "models/wire/dissect.h"

namespace foreflow::python {
namespace {

BytesView ViewOf(const py::buffer_info& buffer) {
  if (buffer.ndim != 1 || buffer.itemsize != 1 || (buffer.size > 0 && buffer.strides[0] != 1)) {
    throw Refusal("argument", "data", "not plain bytes", "contiguous bytes");
  }
  return {static_cast<const std::uint8_t*>(buffer.ptr), static_cast<std::size_t>(buffer.size)};
}

// One packet, as an array of one, so that a field is spelled once: in the dtype.
py::object DissectOne(const py::buffer& data, const std::string& link,
                      std::optional<std::uint32_t> wire_bytes) {
  const py::buffer_info buffer = data.request();
  const BytesView view = ViewOf(buffer);
  const auto captured = static_cast<std::uint32_t>(view.size);
  if (wire_bytes && *wire_bytes < captured) {
    throw Refusal("argument", "wire_bytes", std::to_string(*wire_bytes),
                  "at least the " + std::to_string(captured) + " captured");
  }
  Work work;
  py::array_t<wire::Dissection> one(1);
  *one.mutable_data() = wire::Dissect(static_cast<wire::Link>(IndexOf(Links(), link, "link")), view,
                                      wire_bytes.value_or(captured), work);
  return one[py::int_(0)];
}

}  // namespace

const std::vector<std::string>& Links() {
  static const std::vector<std::string> kNames = {"ethernet",   "raw_ip", "linux_sll",
                                                  "linux_sll2", "null",   "unknown"};
  return kNames;
}

void BindWire(py::module_& module) {
  using wire::Dissection;
  PYBIND11_NUMPY_DTYPE(Dissection, status, l3, l4, is_fragment, is_first_fragment, is_group_addressed,
                       ip_protocol, dscp, ecn, ttl, tcp_flags, ethertype, vlan, outer_vlan, source_port,
                       destination_port, tcp_window, tcp_sequence, tcp_acknowledgement, header_bytes,
                       payload_bytes, l3_offset, l4_offset, payload_offset, source_mac, destination_mac,
                       source_address, destination_address);
  module.attr("DISSECTION") = py::dtype::of<Dissection>();
  module.attr("LINKS") = py::tuple(py::cast(Links()));
  module.attr("DISSECT_STATUS") = py::make_tuple("ok", "truncated", "malformed", "unknown_link");
  module.attr("LAYER3") = py::make_tuple("none", "arp", "ipv4", "ipv6");
  module.attr("LAYER4") = py::make_tuple("none", "tcp", "udp", "icmp", "icmpv6", "other");
  module.def("dissect", &DissectOne, py::arg("data"), py::arg("link") = "ethernet",
             py::arg("wire_bytes") = std::nullopt,
             "Takes one packet apart; a numpy record of dtype DISSECTION. Enumerated fields are indices into "
             "DISSECT_STATUS, LAYER3 and LAYER4.");
}

}  // namespace foreflow::python
