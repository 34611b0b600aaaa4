// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/bench/measure.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "models/base/refusal.h"

namespace foreflow::bench {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double ThreadSeconds() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

void Keep(std::uint64_t result) { asm volatile("" : : "r"(result)); }

std::vector<double> Medians(const std::vector<Contender>& contenders) {
  std::vector<std::vector<double>> seen(contenders.size());
  for (std::size_t round = 0; round <= kRepetitions; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const double value = contenders[i]();
      if (round > 0) seen[i].push_back(value);
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& values : seen) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    medians.push_back(*middle);
  }
  return medians;
}

std::vector<Row> Measure(const std::vector<Comparison>& comparisons) {
  std::vector<Contender> contenders;
  for (const Comparison& comparison : comparisons) {
    contenders.push_back(comparison.ours);
    contenders.push_back(comparison.peers);
  }
  const std::vector<double> medians = Medians(contenders);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const Comparison& comparison = comparisons[i];
    rows.push_back({comparison.name, comparison.unit, medians[2 * i], comparison.peer, medians[2 * i + 1],
                    comparison.better});
  }
  return rows;
}

std::string ToJson(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json json = {{"name", row.name}, {"unit", row.unit}, {"value", row.value}};
    json["peer"] = row.peer.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.peer);
    json["peer_value"] = row.peer.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.peer_value);
    json["ratio"] = row.peer.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.Ratio());
    list.push_back(json);
  }
  return list.dump(2);
}

int Report(const std::function<std::vector<Row>()>& measure) {
  try {
    std::printf("%s\n", ToJson(measure()).c_str());
  } catch (const Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace foreflow::bench
