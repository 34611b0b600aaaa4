// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/step_codes.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::train {
namespace {

constexpr std::uint32_t kGroups = 8;  // of sequences, where there is one capture alone
constexpr double kPriorRows = 2;      // that a code's counts begin with, spread as all rows are

// The bins of a symbol that share a code: from `low` to below `high`, an input each.
struct Box {
  std::uint32_t symbol = 0;
  std::vector<std::uint32_t> low, high;
};

struct Split {
  double gain = 0;
  Box below, above;
};

std::vector<float> EdgesOf(const Dataset& dataset, std::size_t input, std::uint32_t bins) {
  const std::size_t inputs = dataset.input_names.size();
  std::vector<float> values;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] == kTrainSplit) values.push_back(dataset.inputs[row * inputs + input]);
  }
  std::sort(values.begin(), values.end());
  std::vector<float> edges;
  if (values.empty() || bins < 2) return edges;
  const auto above = std::upper_bound(values.begin(), values.end(), values.front());
  const auto left = static_cast<std::size_t>(values.end() - above);
  for (std::uint32_t i = 0; i + 1 < bins && left > 0; ++i) {
    edges.push_back(above[static_cast<std::ptrdiff_t>(left * i / (bins - 1))]);
  }
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

// Labels of the training rows, by group, symbol, cell and class of all class targets.
class Labels {
 public:
  Labels(const Dataset& dataset, const StepCodes& codes, const std::vector<double>& weight) : codes_(codes) {
    for (std::size_t i = 0; i < dataset.targets.size(); ++i) {
      if (!dataset.targets[i].is_class()) continue;
      heads_.push_back({classes_, dataset.targets[i].classes.size(), weight[i], 0});
      classes_ += dataset.targets[i].classes.size();
    }
    const std::uint32_t sources = *std::max_element(dataset.source.begin(), dataset.source.end()) + 1;
    groups_ = sources > 1 ? sources : kGroups;
    count_.assign(std::size_t{groups_} * codes.symbols * codes.cells() * classes_, 0);
    prior_.assign(classes_, 0);
    const std::size_t inputs = dataset.input_names.size();
    for (std::size_t row = 0; row < dataset.rows(); ++row) {
      if (dataset.split[row] != kTrainSplit) continue;
      const std::uint32_t group = sources > 1 ? dataset.source[row] : dataset.sequence[row] % kGroups;
      const std::size_t cell = codes.CellOf(dataset.inputs.data() + row * inputs);
      std::size_t head = 0;
      for (const Target& target : dataset.targets) {
        if (!target.is_class()) continue;
        Head& own = heads_[head++];
        if (target.label[row] < 0) continue;
        const std::size_t at = own.first + static_cast<std::size_t>(target.label[row]);
        ++count_[Place(group, dataset.symbol[row], cell) + at];
        ++prior_[at];
        ++own.rows;
      }
    }
    for (const Head& head : heads_) {
      for (std::size_t i = 0; i < head.classes; ++i) prior_[head.first + i] /= std::max(head.rows, 1.0);
    }
  }

  // What predicting the box's rows costs, each group by the counts of the others.
  double LossOf(const Box& box) const {
    std::vector<double> own(std::size_t{groups_} * classes_, 0), all(classes_, 0);
    ForEachCell(box, [&](std::size_t cell) {
      for (std::uint32_t group = 0; group < groups_; ++group) {
        const std::uint32_t* from = count_.data() + Place(group, box.symbol, cell);
        for (std::size_t i = 0; i < classes_; ++i) own[group * classes_ + i] += from[i];
      }
    });
    for (std::size_t i = 0; i < own.size(); ++i) all[i % classes_] += own[i];
    double loss = 0;
    for (const Head& head : heads_) {
      double rows = 0;
      for (std::size_t i = 0; i < head.classes; ++i) rows += all[head.first + i];
      if (rows == 0) continue;
      double of_head = 0;
      for (std::uint32_t group = 0; group < groups_; ++group) {
        const double* here = own.data() + group * classes_ + head.first;
        double others = rows;
        for (std::size_t i = 0; i < head.classes; ++i) others -= here[i];
        for (std::size_t i = 0; i < head.classes; ++i) {
          if (here[i] == 0) continue;
          const double expected = all[head.first + i] - here[i] + kPriorRows * prior_[head.first + i];
          of_head -= here[i] * std::log(expected / (others + kPriorRows));
        }
      }
      loss += head.weight * of_head / head.rows;
    }
    return loss;
  }

  std::optional<Split> BestSplit(const Box& box) const {
    Split best;
    const double whole = LossOf(box);
    if (whole == 0) return std::nullopt;  // no rows
    for (std::size_t input = 0; input < box.low.size(); ++input) {
      for (std::uint32_t at = box.low[input] + 1; at < box.high[input]; ++at) {
        Split split{0, box, box};
        split.below.high[input] = split.above.low[input] = at;
        split.gain = whole - LossOf(split.below) - LossOf(split.above);
        if (split.gain > best.gain) best = std::move(split);
      }
    }
    if (best.gain > 0) return best;
    return std::nullopt;
  }

  template <class Visit>
  void ForEachCell(const Box& box, const Visit& visit) const {
    std::vector<std::uint32_t> bin = box.low;
    for (;;) {
      std::size_t cell = 0;
      for (std::size_t i = 0; i < bin.size(); ++i) cell = cell * (codes_.edges[i].size() + 1) + bin[i];
      visit(cell);
      std::size_t input = bin.size();
      while (input > 0 && ++bin[input - 1] == box.high[input - 1]) {
        bin[input - 1] = box.low[input - 1];
        --input;
      }
      if (input == 0) return;
    }
  }

 private:
  struct Head {
    std::size_t first;
    std::size_t classes;
    double weight;
    double rows;
  };

  std::size_t Place(std::uint32_t group, std::uint32_t symbol, std::size_t cell) const {
    return ((std::size_t{group} * codes_.symbols + symbol) * codes_.cells() + cell) * classes_;
  }

  const StepCodes& codes_;
  std::vector<Head> heads_;
  std::size_t classes_ = 0;
  std::uint32_t groups_ = 0;
  std::vector<std::uint32_t> count_;
  std::vector<double> prior_;
};

}  // namespace

std::size_t StepCodes::cells() const {
  std::size_t cells = 1;
  for (const std::vector<float>& each : edges) cells *= each.size() + 1;
  return cells;
}

std::size_t StepCodes::CellOf(const float* inputs) const {
  std::size_t cell = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    std::size_t bin = 0;
    for (const float edge : edges[i]) bin += edge <= inputs[i] ? 1 : 0;
    cell = cell * (edges[i].size() + 1) + bin;
  }
  return cell;
}

StepCodes SymbolsAsCodes(std::uint32_t symbols) {
  StepCodes codes;
  codes.symbols = codes.count = symbols;
  for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
    codes.code.push_back(static_cast<std::uint16_t>(symbol));
  }
  return codes;
}

StepCodes ChooseCodes(const Dataset& dataset, const std::vector<std::uint32_t>& bins,
                      const std::vector<double>& weight) {
  StepCodes codes;
  codes.symbols = dataset.symbols;
  for (std::size_t input = 0; input < bins.size(); ++input) {
    codes.edges.push_back(EdgesOf(dataset, input, bins[input]));
  }
  if (codes.cells() > StepCodes::kMostCells) {
    throw Refusal("command line: --bins makes " + std::to_string(codes.cells()) +
                  " cells of all inputs, allowed: at most " + std::to_string(StepCodes::kMostCells) +
                  "; give fewer bins");
  }
  const Labels labels(dataset, codes, weight);
  std::vector<Box> boxes;
  std::vector<std::optional<Split>> split;
  for (std::uint32_t symbol = 0; symbol < dataset.symbols; ++symbol) {
    Box box;
    box.symbol = symbol;
    for (const std::vector<float>& each : codes.edges) {
      box.low.push_back(0);
      box.high.push_back(static_cast<std::uint32_t>(each.size() + 1));
    }
    split.push_back(labels.BestSplit(box));
    boxes.push_back(std::move(box));
  }
  while (boxes.size() < StepCodes::kMost) {
    const auto best = std::max_element(split.begin(), split.end(), [](const auto& a, const auto& b) {
      return (a ? a->gain : 0) < (b ? b->gain : 0);
    });
    if (!best->has_value()) break;
    const Split chosen = **best;
    const auto at = best - split.begin();
    boxes[static_cast<std::size_t>(at)] = chosen.below;
    split[static_cast<std::size_t>(at)] = labels.BestSplit(chosen.below);
    boxes.push_back(chosen.above);
    split.push_back(labels.BestSplit(chosen.above));
  }
  codes.count = static_cast<std::uint32_t>(boxes.size());
  codes.code.resize(codes.symbols * codes.cells());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    labels.ForEachCell(boxes[i], [&](std::size_t cell) {
      codes.code[boxes[i].symbol * codes.cells() + cell] = static_cast<std::uint16_t>(i);
    });
  }
  return codes;
}

Dataset Coded(const Dataset& dataset, const StepCodes& codes) {
  Dataset coded = dataset;
  const std::size_t inputs = dataset.input_names.size();
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    coded.symbol[row] =
        static_cast<std::uint8_t>(codes.Of(dataset.symbol[row], dataset.inputs.data() + row * inputs));
  }
  coded.symbols = codes.count;
  coded.input_names.clear();
  coded.inputs.clear();
  return coded;
}

SymbolParts PartsOf(const Dataset& dataset, const StepCodes& codes) {
  const std::size_t inputs = dataset.input_names.size();
  const SymbolParts of_symbols = PartsOf(dataset.task, dataset.feature_set, dataset.symbols);
  std::vector<double> sum(std::size_t{codes.count} * inputs, 0), rows(codes.count, 0);
  std::vector<double> mean(inputs, 0), square(inputs, 0);
  double all = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] != kTrainSplit) continue;
    const float* input = dataset.inputs.data() + row * inputs;
    const std::size_t code = codes.Of(dataset.symbol[row], input);
    rows[code] += 1;
    all += 1;
    for (std::size_t i = 0; i < inputs; ++i) {
      sum[code * inputs + i] += input[i];
      mean[i] += input[i];
      square[i] += double{input[i]} * input[i];
    }
  }
  SymbolParts parts;
  std::vector<std::size_t> looked_at;
  for (std::size_t i = 0; i < inputs; ++i) {
    mean[i] /= std::max(all, 1.0);
    square[i] = std::sqrt(std::max(square[i] / std::max(all, 1.0) - mean[i] * mean[i], 1e-12));
    if (!codes.edges[i].empty()) looked_at.push_back(i);
  }
  parts.count = of_symbols.count + static_cast<std::uint32_t>(looked_at.size());
  parts.has.assign(std::size_t{codes.count} * parts.count, 0);
  for (std::size_t place = 0; place < codes.code.size(); ++place) {
    const std::size_t symbol = place / codes.cells(), code = codes.code[place];
    float* to = parts.has.data() + code * parts.count;
    std::copy_n(of_symbols.has.begin() + static_cast<std::ptrdiff_t>(symbol * of_symbols.count),
                of_symbols.count, to);
    to += of_symbols.count;
    for (const std::size_t i : looked_at) {
      *to++ = rows[code] == 0
                  ? 0
                  : static_cast<float>((sum[code * inputs + i] / rows[code] - mean[i]) / square[i]);
    }
  }
  return parts;
}

}  // namespace foreflow::train
