// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_BENCH_MEASURE_H_
#define FOREFLOW_BINDINGS_BENCH_MEASURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace foreflow::bench {

// Repetitions of which the median is reported.
constexpr std::size_t kRepetitions = 11;

// Wall time since an arbitrary moment, in seconds.
double Now();

// Seconds of the processor that this thread has used: what other load takes does not count.
double ThreadSeconds();

// Keeps a result alive, so that the compiler does not remove what made it.
void Keep(std::uint64_t result);

// One repetition of one contender: does its work and returns the quantity that was measured.
using Contender = std::function<double()>;

// The median of each contender over kRepetitions rounds. In every round each runs once, in turn, so that what
// disturbs the machine disturbs all alike. A round before the first is not counted.
std::vector<double> Medians(const std::vector<Contender>& contenders);

enum class Better { kLess, kMore };

// One line of `./foreflow bench --json`.
struct Row {
  std::string name;
  std::string unit;
  double value = 0;
  std::string peer;  // empty: there is none
  double peer_value = 0;
  Better better = Better::kLess;

  // Above 1 where ours is better, whichever direction is.
  double Ratio() const { return better == Better::kLess ? peer_value / value : value / peer_value; }
};

// A row that is yet to be measured, of ours and of a peer's work.
struct Comparison {
  std::string name;
  std::string unit;
  std::string peer;
  Better better = Better::kLess;
  Contender ours;
  Contender peers;
};
// All contenders in turn, see Medians.
std::vector<Row> Measure(const std::vector<Comparison>& comparisons);

// The rows as one JSON document: a list of {name, unit, value, peer, peer_value, ratio}.
std::string ToJson(const std::vector<Row>& rows);

// The `main` of a benchmark: prints what `measure` returns as JSON. Returns the exit code: 1 where it throws,
// 2 where it throws a Refusal, with its sentence on standard error.
int Report(const std::function<std::vector<Row>()>& measure);

}  // namespace foreflow::bench

#endif  // FOREFLOW_BINDINGS_BENCH_MEASURE_H_
