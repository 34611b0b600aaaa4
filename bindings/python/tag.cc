// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/config/vocabulary.h"
#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "models/rules/rule_table.h"

namespace foreflow::python {
namespace {

struct DecisionFields {
  std::uint32_t rule;
  std::uint16_t meter;
  std::uint8_t verb;
  std::uint8_t queue;
  bool mirror;
};
using DecisionArray = py::array_t<DecisionFields>;
using VlanArray = py::array_t<wire::VlanKey, py::array::c_style>;

DecisionFields FieldsOf(const rules::Decision& decision) {
  return {decision.rule, decision.action.meter, static_cast<std::uint8_t>(decision.action.verb),
          decision.action.queue, decision.action.mirror};
}

// A rule table with the rules it was made from, for the linear reference.
class Rules {
 public:
  explicit Rules(const std::string& json) : rules_(config::ParseRules("rules", json)) { table_.Load(rules_); }

  DecisionArray Classify(const KeyArray& keys, const std::optional<VlanArray>& vlans) const {
    Work work;
    return Map(keys, vlans, [&](const flow::FlowKey& key, wire::VlanKey vlan) {
      return table_.Classify(key, vlan, work);
    });
  }
  DecisionArray ClassifyByLinearScan(const KeyArray& keys, const std::optional<VlanArray>& vlans) const {
    return Map(keys, vlans, [&](const flow::FlowKey& key, wire::VlanKey vlan) {
      return rules::ClassifyByLinearScan(rules_, key, vlan);
    });
  }
  KeyArray EntryKeys(const KeyArray& keys) const {
    KeyArray entries(keys.size());
    Work work;
    for (py::ssize_t i = 0; i < keys.size(); ++i) {
      entries.mutable_data()[i] = table_.EntryKeyOf(keys.data()[i], work).fields;
    }
    return entries;
  }
  std::size_t size() const { return table_.size(); }
  std::size_t tuples() const { return table_.tuples(); }

 private:
  template <typename Decide>
  static DecisionArray Map(const KeyArray& keys, const std::optional<VlanArray>& vlans,
                           const Decide& decide) {
    if (vlans && vlans->size() != keys.size()) {
      throw Refusal("vlans", "length", std::to_string(vlans->size()),
                    std::to_string(keys.size()) + ", as many as keys");
    }
    DecisionArray decisions(keys.size());
    for (py::ssize_t i = 0; i < keys.size(); ++i) {
      const wire::VlanKey vlan = vlans ? vlans->data()[i] : wire::kNoVlan;
      decisions.mutable_data()[i] = FieldsOf(decide(keys.data()[i], vlan));
    }
    return decisions;
  }

  std::vector<rules::Rule> rules_;
  rules::RuleTable table_;
};

}  // namespace

void BindTag(py::module_& module) {
  PYBIND11_NUMPY_DTYPE(DecisionFields, rule, meter, verb, queue, mirror);
  module.attr("DECISION") = py::dtype::of<DecisionFields>();
  module.attr("VERBS") = py::tuple(py::cast(config::Verbs()));
  module.attr("NO_RULE") = rules::kNoRule;
  module.attr("NO_QUEUE") = rules::kNoQueue;
  module.attr("NO_METER") = rules::kNoMeter;
  py::class_<Rules>(module, "RuleTable", "Standard rules: tuple-space search, and its linear reference.")
      .def(py::init<const std::string&>(), py::arg("rules_json"),
           "A JSON list of rules, spelled as in a resolved configuration.")
      .def("classify", &Rules::Classify, py::arg("keys"), py::arg("vlans") = std::nullopt,
           "One DECISION a key; rule is NO_RULE for the default drop. `vlans`: of each packet the outer_vlan "
           "of its DISSECTION, uint16; left out, no packet has a tag.")
      .def("classify_by_linear_scan", &Rules::ClassifyByLinearScan, py::arg("keys"),
           py::arg("vlans") = std::nullopt, "The same, by every rule in turn.")
      .def("entry_keys", &Rules::EntryKeys, py::arg("keys"),
           "The keys of the flow entries that serve these packets without a VLAN tag: ports replaced by port "
           "classes.")
      .def("__len__", &Rules::size)
      .def_property_readonly("tuples", &Rules::tuples, "The most hash searches that one look-up can take.");
}

}  // namespace foreflow::python
