// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/residency_bound/script_law.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bindings/config/strict_json.h"
#include "models/base/refusal.h"

namespace foreflow::bound {
namespace {

using config::Json;
using config::Object;
using config::Value;

constexpr std::size_t kMost = 1'000'000;

flow::FlowKey ReadHeader(const Value& value) {
  const std::vector<Value> fields = value.Array(5);
  if (fields.size() != 5) value.Refuse("source, destination, their ports and the protocol");
  flow::FlowKey key;
  key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  const auto address = [](const Value& from, std::array<std::uint8_t, 16>& to) {
    const std::uint64_t number = from.Unsigned(0, UINT32_MAX);
    for (std::size_t i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  };
  address(fields[0], key.source_address);
  address(fields[1], key.destination_address);
  key.source_port = static_cast<std::uint16_t>(fields[2].Unsigned(0, UINT16_MAX));
  key.destination_port = static_cast<std::uint16_t>(fields[3].Unsigned(0, UINT16_MAX));
  key.ip_protocol = static_cast<std::uint8_t>(fields[4].Unsigned(0, UINT8_MAX));
  return key;
}

ScriptLaw::Phase ReadPhase(const Value& value, std::size_t headers, std::size_t scripts) {
  ScriptLaw::Phase phase;
  Object object(value);
  phase.begin = object.Get("begin").Unsigned(0, UINT64_MAX / 2);
  const Value list = object.Get("scripts");
  for (const Value& steps : list.Array(kMost)) {
    phase.scripts.emplace_back();
    for (const Value& step : steps.Array(kMost)) {
      phase.scripts.back().push_back(static_cast<ScriptLaw::Header>(step.Unsigned(0, headers - 1)));
    }
    if (phase.scripts.back().empty()) steps.Refuse("scripts of one step or more");
  }
  if (phase.scripts.size() != scripts) list.Refuse("as many scripts as popularity has shares");
  object.End();
  return phase;
}

}  // namespace

ScriptLaw LoadScriptLaw(const std::string& sidecar) {
  std::ifstream file(sidecar);
  if (!file) throw Refusal(sidecar + ": cannot be read; allowed is the sidecar of a generated capture");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Json document = config::ParseJson(sidecar, text);
  if (!document.is_object() || !document.contains("law")) {
    throw Refusal(sidecar + ": has no key law; allowed are captures of sessions and shuffled");
  }
  Object object(Value(document["law"], sidecar, "law"));
  ScriptLaw law;
  law.sure = object.Get("sure").Number(0, 1);
  law.goes_on = 1 - 1 / object.Get("packets").Number(1, 1e9);
  law.gap_s = object.Get("gap_s").Number(1e-9, 1e6);
  const Value pause = object.Get("pause_s");
  law.pause_s = pause.Number(1e-9, 1e6);
  if (law.pause_s <= law.gap_s) pause.Refuse("longer than gap_s");
  for (const Value& share : object.Get("popularity").Array(kMost))
    law.popularity.push_back(share.Number(0, 1));
  for (const Value& header : object.Get("headers").Array(kMost)) law.headers.push_back(ReadHeader(header));
  const Value vms = object.Get("vms");
  for (const Value& vm : vms.Array(65535)) {
    Object of(vm);
    std::vector<ScriptLaw::Phase>& phases = law.vms[of.Get("mac").Unsigned(0, (std::uint64_t{1} << 48) - 1)];
    for (const Value& phase : of.Get("phases").Array(kMost)) {
      phases.push_back(ReadPhase(phase, std::max<std::size_t>(law.headers.size(), 1), law.popularity.size()));
    }
    of.End();
    if (phases.empty() || phases[0].begin != 0) vm.Refuse("phases, the first from packet 0 on");
  }
  object.End();
  return law;
}

ScriptFilter::ScriptFilter(const ScriptLaw& law, const std::vector<ScriptLaw::Phase>& phases, bool seen_only)
    : law_(law),
      phases_(phases),
      seen_only_(seen_only),
      is_seen_(law.headers.size()),
      strays_(law.headers.size()),
      next_(law.headers.size()) {}

void ScriptFilter::Begin(const ScriptLaw::Scripts& scripts) {
  const ScriptLaw::Scripts* const before = scripts_;
  const std::vector<bool> had_been = has_been_;
  const std::vector<std::size_t> first = first_;
  scripts_ = &scripts;
  first_.clear();
  header_of_step_.clear();
  has_been_.clear();
  for (std::size_t script = 0; script < scripts.size(); ++script) {
    first_.push_back(header_of_step_.size());
    // A script that goes on is known as before.
    const bool goes_on = before != nullptr && (*before)[script] == scripts[script];
    for (std::size_t step = 0; step < scripts[script].size(); ++step) {
      header_of_step_.push_back(scripts[script][step]);
      has_been_.push_back(goes_on && had_been[first[script] + step]);
    }
  }
  std::fill(strays_.begin(), strays_.end(), 0.0);
  const auto steps = static_cast<double>(header_of_step_.size());
  for (const ScriptLaw::Header header : header_of_step_) strays_[header] += 1 / steps;
  distinct_ = header_of_step_;
  std::sort(distinct_.begin(), distinct_.end());
  distinct_.erase(std::unique(distinct_.begin(), distinct_.end()), distinct_.end());
  std::fill(next_.begin(), next_.end(), 0.0);
  // Any script may begin.
  step_.assign(header_of_step_.size(), 0.0);
  step_.back() = 1;
  moved_.resize(step_.size());
}

void ScriptFilter::Advance(std::vector<double>& steps) const {
  double ended = 0;
  for (std::size_t script = 0; script < scripts_->size(); ++script) {
    const std::size_t length = (*scripts_)[script].size();
    ended += step_[At(script, length - 1)];
    for (std::size_t step = 1; step < length; ++step) steps[At(script, step)] = step_[At(script, step - 1)];
  }
  for (std::size_t script = 0; script < scripts_->size(); ++script) {
    steps[At(script, 0)] = ended * law_.popularity[script];
  }
}

void ScriptFilter::See(ScriptLaw::Header header, double gap_s) {
  const bool is_first = packets_ == 0;
  const bool is_other_phase = phase_ + 1 < phases_.size() && packets_ == phases_[phase_ + 1].begin;
  if (is_first || is_other_phase) {
    phase_ += is_other_phase ? 1 : 0;
    Begin(phases_[phase_].scripts);
  }
  ++packets_;
  Advance(moved_);
  // Densities of the gap, where the visit goes on and where another begins.
  const double short_gap = std::exp(-gap_s / law_.gap_s), long_gap = std::exp(-gap_s / law_.pause_s);
  const bool may_stay = !is_first && !is_other_phase && header == header_;
  const double stay = may_stay ? law_.goes_on * short_gap / law_.gap_s : 0;
  const double move =
      may_stay ? (1 - law_.goes_on) * (long_gap - short_gap) / (law_.pause_s - law_.gap_s) : 1;
  double sum = 0;
  std::size_t likeliest = 0;
  for (std::size_t i = 0; i < step_.size(); ++i) {
    const double visits = (header_of_step_[i] == header ? law_.sure : 0) + (1 - law_.sure) * strays_[header];
    step_[i] = stay * step_[i] + move * moved_[i] * visits;
    sum += step_[i];
    if (step_[i] > step_[likeliest]) likeliest = i;
  }
  // Where the law gives no account of it, it may be anywhere.
  for (double& step : step_) step = sum > 0 ? step / sum : 1 / static_cast<double>(step_.size());
  has_been_[likeliest] = true;
  is_seen_[header] = true;
  header_ = header;
  Foretell();
}

void ScriptFilter::Foretell() {
  Advance(moved_);
  for (const ScriptLaw::Header header : distinct_) {
    next_[header] = seen_only_ && !is_seen_[header] ? 0 : (1 - law_.sure) * strays_[header];
  }
  for (std::size_t i = 0; i < moved_.size(); ++i) {
    if (!seen_only_ || has_been_[i]) next_[header_of_step_[i]] += law_.sure * moved_[i];
  }
}

ScriptFilter::Hazard ScriptFilter::After(double silence_s) const {
  const double short_gap = std::exp(-silence_s / law_.gap_s), long_gap = std::exp(-silence_s / law_.pause_s);
  const double longer = law_.pause_s - law_.gap_s;
  const double still_on = law_.goes_on * short_gap;
  const double turning = (1 - law_.goes_on) * (long_gap - short_gap) / longer;
  const double still_turning =
      (1 - law_.goes_on) * (law_.pause_s * long_gap - law_.gap_s * short_gap) / longer;
  const double silent = still_on + still_turning;
  if (silent <= 0) return {0, 1 / law_.pause_s};
  return {still_on / law_.gap_s / silent, turning / silent};
}

}  // namespace foreflow::bound
