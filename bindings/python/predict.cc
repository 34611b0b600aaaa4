// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/config/vocabulary.h"
#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "models/predict/successor_table.h"
#include "models/predict/type_predictor.h"

namespace foreflow::python {
namespace {

using predict::Context;
using predict::SuccessorTable;
using predict::TypePredictor;

predict::PacketType TypeOf(const std::string& name) {
  return static_cast<predict::PacketType>(IndexOf(config::PacketTypes(), name, "packet type"));
}

Context ContextOf(const std::vector<unsigned>& symbols, const std::string& last_label) {
  Context context;
  if (symbols.size() > context.symbol.size()) {
    throw Refusal("argument", "symbols", std::to_string(symbols.size()) + " of them",
                  "up to 3, newest first");
  }
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] >= predict::kSymbols) {
      throw Refusal("argument", "symbols[" + std::to_string(i) + "]", std::to_string(symbols[i]), "0 .. 63");
    }
    context.symbol[i] = static_cast<predict::Symbol>(symbols[i]);
  }
  context.length = static_cast<std::uint8_t>(symbols.size());
  context.last_label = TypeOf(last_label);
  return context;
}

py::dict Predict(const TypePredictor& predictor, const std::vector<unsigned>& symbols,
                 const std::string& last_label) {
  Work work;
  const predict::Prediction prediction = predictor.Predict(ContextOf(symbols, last_label), work);
  py::dict result;
  result["type"] = predict::Name(prediction.type);
  result["confidence"] = prediction.confidence;
  result["probability"] = py::array_t<std::uint16_t>(static_cast<py::ssize_t>(prediction.probability.size()),
                                                     prediction.probability.data());
  return result;
}

void Learn(TypePredictor& predictor, const std::vector<unsigned>& symbols, const std::string& truth,
           const std::string& last_label) {
  Work work;
  predictor.Learn(ContextOf(symbols, last_label), TypeOf(truth), work);
}

// SuccessorTable trusts its caller with indices; Python does not get that trust.
class CheckedSuccessors {
 public:
  CheckedSuccessors(std::size_t destinations, std::size_t successors)
      : destinations_(destinations), table_(destinations, successors) {}

  void Observe(std::size_t previous, std::size_t next) {
    Work work;
    table_.Observe(Check(previous), Check(next), work);
  }
  void Forget(std::size_t destination) { table_.Forget(Check(destination)); }
  std::vector<std::pair<unsigned, unsigned>> Predict(std::size_t current, std::size_t limit) const {
    std::vector<predict::NextDestination> next(std::min(limit, SuccessorTable::kMaxSuccessors));
    Work work;
    next.resize(table_.Predict(Check(current), next.data(), next.size(), work));
    std::vector<std::pair<unsigned, unsigned>> result;
    for (const predict::NextDestination& each : next) result.emplace_back(each.destination, each.confidence);
    return result;
  }
  std::size_t bytes() const { return table_.bytes(); }

 private:
  predict::DestinationId Check(std::size_t destination) const {
    if (destination >= destinations_) {
      throw Refusal("argument", "destination", std::to_string(destination),
                    "0 .. " + std::to_string(destinations_ - 1));
    }
    return static_cast<predict::DestinationId>(destination);
  }

  std::size_t destinations_;
  SuccessorTable table_;
};

}  // namespace

void BindPredict(py::module_& module) {
  module.attr("PACKET_TYPES") = py::tuple(py::cast(config::PacketTypes()));
  module.attr("PREDICTORS") = py::tuple(py::cast(config::Learners()));
  py::class_<TypePredictor>(module, "TypePredictor", "Predicts the type of one VM's next packet.")
      .def(py::init([](const std::string& kind) {
             return predict::MakeTypePredictor(
                 static_cast<predict::PredictorKind>(IndexOf(config::Learners(), kind, "kind")));
           }),
           py::arg("kind"), "kind is one of PREDICTORS.")
      .def("predict", &Predict, py::arg("symbols"), py::arg("last_label") = "control",
           "{type, confidence, probability}; 65535 is 1, probability is uint16, one a type of PACKET_TYPES. "
           "Symbols, 0 .. 63, newest first, up to 3: the packet's own, and those before. last_label: the "
           "VM's last known type.")
      .def("learn", &Learn, py::arg("symbols"), py::arg("truth"), py::arg("last_label") = "control",
           "The packet that was predicted from these turned out to be of type `truth`.")
      .def_property_readonly("bytes", &TypePredictor::bytes, "Memory held.");
  py::class_<CheckedSuccessors>(module, "SuccessorTable", "Which destinations follow which, for one VM.")
      .def(
          py::init<std::size_t, std::size_t>(), py::arg("destinations"), py::arg("successors"),
          "destinations, 1 .. 65535, are numbered from 0; the 1 .. 16 likeliest successors of each are kept.")
      .def("observe", &CheckedSuccessors::Observe, py::arg("previous"), py::arg("next"),
           "The VM turned from one destination to another.")
      .def("forget", &CheckedSuccessors::Forget, py::arg("destination"),
           "A destination whose number is used again, as a predecessor and as a successor.")
      .def("predict", &CheckedSuccessors::Predict, py::arg("current"), py::arg("limit") = 4,
           "[(destination, confidence)], most likely first, at most `limit`; 65535 is 1.")
      .def_property_readonly("bytes", &CheckedSuccessors::bytes, "Memory held.");
}

}  // namespace foreflow::python
