// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/row_model.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

namespace foreflow::evaluate {

Output MakeOutput(const Dataset& data, const RowModel& model) {
  Output output;
  for (std::size_t t = 0; t < data.targets.size(); ++t) {
    const std::size_t classes = data.targets[t].classes.size();
    output.emplace_back(classes > 0 ? classes : model.Levels(t).size());
  }
  return output;
}

void Walk(const Dataset& data, RowModel& model, const Take& take) {
  using Pending = std::tuple<std::int64_t, std::size_t, std::size_t>;  // when it is known, row, target
  using Queue = std::priority_queue<Pending, std::vector<Pending>, std::greater<>>;
  std::vector<Queue> pending(data.sources.size());
  Output output = MakeOutput(data, model);
  for (std::size_t row = 0; row < data.rows(); ++row) {
    Work work;
    Queue& queue = pending[data.source[row]];
    while (!queue.empty() && std::get<0>(queue.top()) < data.time_ns[row]) {
      model.Learn(std::get<1>(queue.top()), std::get<2>(queue.top()), work);
      queue.pop();
    }
    for (std::vector<float>& each : output) {
      std::fill(each.begin(), each.end(), std::numeric_limits<float>::quiet_NaN());
    }
    model.Step(row, output, work);
    take(row, output, work);
    for (std::size_t t = 0; t < data.targets.size(); ++t) {
      const Target& target = data.targets[t];
      if (target.IsKnown(row) && target.resolved_ns[row] >= 0) queue.emplace(target.resolved_ns[row], row, t);
    }
  }
}

}  // namespace foreflow::evaluate
