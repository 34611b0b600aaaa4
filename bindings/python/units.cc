// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/units.h"

#include <pybind11/operators.h>

#include <string>

#include "bindings/python/module.h"

namespace foreflow::python {
namespace {

template <typename Unit>
void BindUnit(py::module_& module, const char* name, const char* doc) {
  py::class_<Unit>(module, name, doc)
      .def(py::init<typename Unit::rep>(), py::arg("count") = 0)
      .def_property_readonly("count", &Unit::count)
      .def(py::self + py::self)
      .def(py::self - py::self)
      .def(py::self == py::self)
      .def(py::self != py::self)
      .def(py::self < py::self)
      .def(py::self <= py::self)
      .def(py::self > py::self)
      .def(py::self >= py::self)
      .def("__mul__", [](Unit self, typename Unit::rep factor) { return self * factor; })
      .def("__hash__", [](Unit self) { return std::hash<typename Unit::rep>()(self.count()); })
      .def("__repr__",
           [name](Unit self) { return std::string(name) + "(" + std::to_string(self.count()) + ")"; });
}

}  // namespace

void BindUnits(py::module_& module) {
  BindUnit<Nanos>(module, "Nanos", "Time on the data path, in ns.");
  BindUnit<Picos>(module, "Picos", "Time inside a device model, in ps.");
  BindUnit<Cycles>(module, "Cycles", "Clock cycles of one device.");
  BindUnit<Bytes>(module, "Bytes", "Bytes.");
  BindUnit<BitsPerSecond>(module, "BitsPerSecond", "A rate in bit/s.");
  module.def("micros", &Micros, py::arg("count"), "Whole microseconds as Nanos.");
  module.def("millis", &Millis, py::arg("count"), "Whole milliseconds as Nanos.");
  module.def("seconds", &Seconds, py::arg("count"), "Whole seconds as Nanos.");
  module.def("to_picos", &ToPicos, py::arg("time"), "Nanos as Picos.");
  module.def("to_nanos_floor", &ToNanosFloor, py::arg("time"),
             "Picos as Nanos, rounded towards minus infinity.");
  module.def("to_seconds", &ToSeconds, py::arg("time"), "Nanos as a float.");
}

}  // namespace foreflow::python
