// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/python/network.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::python {
namespace {

namespace py = pybind11;

template <typename Value>
void Read(const py::dict& from, const char* name, Value& to, std::size_t& known) {
  if (!from.contains(name)) return;
  ++known;
  to = from[name].cast<Value>();
}
void ReadNanos(const py::dict& from, const char* name, Nanos& to, std::size_t& known) {
  std::int64_t nanos = to.count();
  Read(from, name, nanos, known);
  to = Nanos(nanos);
}

impair::PathConfig PathOf(const py::dict& from) {
  impair::PathConfig path;
  std::size_t known = 0;
  std::uint64_t rate = 0;
  bool is_exponential = false;
  Read(from, "rate", rate, known);
  path.rate = BitsPerSecond(static_cast<BitsPerSecond::rep>(rate));
  Read(from, "queue_bytes", path.queue_bytes, known);
  Read(from, "loss", path.loss, known);
  Read(from, "bit_errors", path.bit_errors, known);
  Read(from, "to_bad", path.burst.to_bad, known);
  Read(from, "to_good", path.burst.to_good, known);
  Read(from, "loss_good", path.burst.loss_good, known);
  Read(from, "loss_bad", path.burst.loss_bad, known);
  ReadNanos(from, "good", path.burst.good, known);
  ReadNanos(from, "bad", path.burst.bad, known);
  ReadNanos(from, "delay", path.delay, known);
  ReadNanos(from, "jitter", path.jitter, known);
  Read(from, "is_exponential", is_exponential, known);
  path.shape = is_exponential ? impair::JitterShape::kExponential : impair::JitterShape::kUniform;
  Read(from, "late", path.late, known);
  ReadNanos(from, "late_least", path.late_least, known);
  ReadNanos(from, "late_most", path.late_most, known);
  if (known != from.size())
    throw Refusal("paths", "keys", py::repr(from).cast<std::string>(), "those of impair::PathConfig");
  return path;
}

}  // namespace

std::vector<impair::PathConfig> PathsOf(const std::vector<py::dict>& paths) {
  std::vector<impair::PathConfig> made;
  for (const py::dict& path : paths) made.push_back(PathOf(path));
  return made;
}

}  // namespace foreflow::python
