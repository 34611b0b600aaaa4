// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/baselines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/evaluate/classifier.h"
#include "models/base/rng.h"
#include "models/predict/forecaster.h"

namespace foreflow::evaluate {
namespace {

constexpr std::size_t kLevels = std::size(kQuantileLevels);
// Standard normal quantiles at kQuantileLevels.
constexpr std::array<double, kLevels> kNormal = {-1.6448536, -1.2815516, -0.6744898, 0,
                                                 0.6744898,  1.2815516,  1.6448536};

using VmOfSource = std::pair<std::uint16_t, std::uint16_t>;

VmOfSource VmOf(const Dataset& data, std::size_t row) { return {data.source[row], data.vm[row]}; }

class Oracle : public RowModel {
 public:
  explicit Oracle(const Dataset& data) : data_(data) {}
  void Step(std::size_t row, Output& output, Work&) override {
    for (std::size_t t = 0; t < output.size(); ++t) {
      const Target& target = data_.targets[t];
      if (!target.IsKnown(row)) continue;
      std::fill(output[t].begin(), output[t].end(), target.classes.empty() ? target.value[row] : 0.0f);
      if (!target.classes.empty()) output[t][static_cast<std::size_t>(target.label[row])] = 1.0f;
    }
  }

 private:
  const Dataset& data_;
};

class Random : public RowModel {
 public:
  Random(const Dataset& data, std::uint64_t seed) : data_(data), rng_(seed, "evaluate.random") {}
  void Step(std::size_t, Output& output, Work&) override {
    for (std::size_t t = 0; t < output.size(); ++t) {
      const std::size_t classes = data_.targets[t].classes.size();
      if (classes == 0) continue;
      // A hair above the others, so that one class is the likeliest.
      constexpr float kHair = 1e-6f;
      const float each = 1.0f / static_cast<float>(classes);
      std::fill(output[t].begin(), output[t].end(), each - kHair / static_cast<float>(classes));
      output[t][rng_.Below(static_cast<std::uint32_t>(classes))] += kHair;
    }
  }

 private:
  const Dataset& data_;
  Rng rng_;
};

// The empirical quantiles at kQuantileLevels (nearest rank); empty where there are no values.
std::vector<float> QuantilesOf(std::vector<float> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  std::vector<float> quantiles;
  for (const float level : kQuantileLevels) {
    const double rank = std::ceil(static_cast<double>(level) * static_cast<double>(values.size()));
    quantiles.push_back(
        values[std::min(values.size() - 1, static_cast<std::size_t>(std::max(rank - 1, 0.0)))]);
  }
  return quantiles;
}

// Quantiles of what the training rows hold, for each number of packets known of a flow.
class Spread {
 public:
  void Add(std::uint8_t known_packets, float value) { values_[known_packets].push_back(value); }
  void Close() {
    for (auto& [known, values] : values_) values = QuantilesOf(std::move(values));
  }
  // nullptr where there were no such rows.
  const std::vector<float>* Of(std::uint8_t known_packets) const {
    const auto found = values_.find(known_packets);
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::uint8_t, std::vector<float>> values_;
};

class BaseRate : public RowModel {
 public:
  BaseRate(const Dataset& data, const Dataset& training)
      : data_(data), says_(data.targets.size()), spread_(data.targets.size()) {
    for (std::size_t t = 0; t < says_.size(); ++t) {
      const Target& target = training.targets[t];
      std::vector<double> count(target.classes.size(), 1.0);  // Laplace: no class is impossible
      double total = static_cast<double>(count.size());
      for (std::size_t row = 0; row < training.rows(); ++row) {
        if (training.split[row] != kTraining || !target.IsKnown(row)) continue;
        if (target.classes.empty()) {
          spread_[t].Add(training.known_packets[row], target.value[row]);
        } else {
          count[static_cast<std::size_t>(target.label[row])] += 1;
          total += 1;
        }
      }
      spread_[t].Close();
      for (const double each : count) says_[t].push_back(static_cast<float>(each / total));
    }
  }
  void Step(std::size_t row, Output& output, Work& work) override {
    work.Add(WorkItem::kTableStep);
    for (std::size_t t = 0; t < output.size(); ++t) {
      const std::vector<float>* quantiles = spread_[t].Of(data_.known_packets[row]);
      if (!says_[t].empty()) output[t] = says_[t];
      if (quantiles != nullptr) output[t] = *quantiles;
    }
  }

 private:
  const Dataset& data_;
  std::vector<std::vector<float>> says_;  // of classes
  std::vector<Spread> spread_;            // of values
};

// One input as a forecast of the target `size`, in log2 bytes: what the flow has carried, or what another
// did.
class SizeFromInput : public RowModel {
 public:
  // Inputs are log2(1 + bytes) / 32.
  static constexpr float kScale = 32;

  SizeFromInput(const char* input, const Dataset& data, const Dataset& training) : data_(data) {
    const auto found = std::find(data.input_names.begin(), data.input_names.end(), input);
    const auto is_size = [](const Target& target) { return target.name == "size" && target.classes.empty(); };
    const auto target = std::find_if(data.targets.begin(), data.targets.end(), is_size);
    if (found == data.input_names.end() || target == data.targets.end()) return;
    input_ = static_cast<std::size_t>(found - data.input_names.begin());
    target_ = static_cast<std::size_t>(target - data.targets.begin());
    is_there_ = true;
    for (std::size_t row = 0; row < training.rows(); ++row) {
      if (training.split[row] != kTraining || !training.targets[target_].IsKnown(row)) continue;
      spread_.Add(training.known_packets[row],
                  training.targets[target_].value[row] - Forecast(training, row));
    }
    spread_.Close();
  }
  void Step(std::size_t row, Output& output, Work& work) override {
    const std::vector<float>* errors = spread_.Of(data_.known_packets[row]);
    if (!is_there_ || errors == nullptr) return;
    work.Add(WorkItem::kTableStep);
    for (std::size_t i = 0; i < errors->size(); ++i) output[target_][i] = Forecast(data_, row) + (*errors)[i];
  }

 private:
  float Forecast(const Dataset& data, std::size_t row) const {
    return kScale * data.inputs[row * data.inputs_per_row + input_];
  }

  const Dataset& data_;
  bool is_there_ = false;
  std::size_t input_ = 0;
  std::size_t target_ = 0;
  Spread spread_;
};

enum class Feed : std::uint8_t {
  kOnline,  // a VM each, labels as they become known
  kWarm,    // the same, after the training rows
  kFlow,    // one for all, on conversations' symbols, the training rows only
};

using MakeClassifier = std::function<std::unique_ptr<Classifier>(const Target&)>;

// One target's classifiers.
class ClassifierBank {
 public:
  ClassifierBank(const Dataset& data, const Dataset& training, std::size_t target, Feed feed,
                 MakeClassifier make)
      : data_(data),
        training_(training),
        target_(target),
        feed_(feed),
        make_(std::move(make)),
        last_(feed == Feed::kFlow ? 0 : data.rows(), -1) {
    if (feed_ == Feed::kFlow) shared_ = Fresh();
  }

  void Predict(std::size_t row, std::vector<float>& probability, Work& work) {
    if (feed_ == Feed::kFlow) {
      shared_->Predict(data_.flow_history[row], -1, probability, work);
      return;
    }
    Vm& vm = Of(row);
    last_[row] = vm.last;
    vm.classifier->Predict(data_.vm_history[row], vm.last, probability, work);
  }

  void Learn(std::size_t row, Work& work) {
    if (feed_ == Feed::kFlow) return;
    const std::int8_t truth = data_.targets[target_].label[row];
    Vm& vm = Of(row);
    const bool is_learnt = feed_ == Feed::kWarm && &data_ == &training_ && data_.split[row] == kTraining;
    if (!is_learnt) vm.classifier->Learn(data_.vm_history[row], last_[row], truth, work);
    vm.last = truth;
    work.Add(WorkItem::kUpdate);
  }

 private:
  struct Vm {
    std::unique_ptr<Classifier> classifier;
    std::int8_t last = -1;
  };

  Vm& Of(std::size_t row) {
    Vm& vm = vms_[VmOf(data_, row)];
    if (!vm.classifier) vm.classifier = Fresh();
    return vm;
  }

  // One that has learnt what `feed_` allows beforehand; that work is not charged to packets.
  std::unique_ptr<Classifier> Fresh() const {
    const Target& target = training_.targets[target_];
    auto classifier = make_(target);
    if (feed_ == Feed::kOnline) return classifier;
    std::map<VmOfSource, std::int8_t> last;
    Work work;
    for (std::size_t row = 0; row < training_.rows(); ++row) {
      if (training_.split[row] != kTraining || !target.IsKnown(row)) continue;
      const auto [before, is_first] = last.try_emplace(VmOf(training_, row), std::int8_t{-1});
      const History& history = feed_ == Feed::kFlow ? training_.flow_history[row] : training_.vm_history[row];
      classifier->Learn(history, before->second, target.label[row], work);
      before->second = target.label[row];
    }
    return classifier;
  }

  const Dataset& data_;
  const Dataset& training_;
  std::size_t target_;
  Feed feed_;
  MakeClassifier make_;
  std::vector<std::int8_t> last_;  // the VM's last label when the row arrived
  std::map<VmOfSource, Vm> vms_;
  std::unique_ptr<Classifier> shared_;
};

class ClassifierModel : public RowModel {
 public:
  ClassifierModel(const Dataset& data, const Dataset& training, Feed feed, const MakeClassifier& make)
      : banks_(data.targets.size()) {
    for (std::size_t t = 0; t < banks_.size(); ++t) {
      if (!data.targets[t].classes.empty()) banks_[t].emplace(data, training, t, feed, make);
    }
  }
  void Step(std::size_t row, Output& output, Work& work) override {
    for (std::size_t t = 0; t < banks_.size(); ++t) {
      if (banks_[t]) banks_[t]->Predict(row, output[t], work);
    }
  }
  void Learn(std::size_t row, std::size_t target, Work& work) override {
    if (banks_[target]) banks_[target]->Learn(row, work);
  }

 private:
  std::vector<std::optional<ClassifierBank>> banks_;
};

// A forecast of a series' next value: the point, and the spread where the forecaster knows one.
class Series {
 public:
  virtual ~Series() = default;
  virtual void Update(double value) = 0;
  virtual double Forecast() const = 0;
  virtual double Deviation() const { return 0; }
};

class LastValue : public Series {
 public:
  void Update(double value) override { last_ = value; }
  double Forecast() const override { return last_; }

 private:
  double last_ = 0;
};

class EwmaSeries : public Series {
 public:
  void Update(double value) override { ewma_.Update(value); }
  double Forecast() const override { return ewma_.Forecast(); }

 private:
  predict::Ewma ewma_{0.1};
};

class EwmaVarianceSeries : public Series {
 public:
  void Update(double value) override { ewma_.Update(value); }
  double Forecast() const override { return ewma_.mean(); }
  double Deviation() const override { return std::sqrt(ewma_.variance()); }

 private:
  predict::EwmaVariance ewma_{0.1};
};

class HoltWintersSeries : public Series {
 public:
  void Update(double value) override { holt_winters_.Update(value); }
  double Forecast() const override { return holt_winters_.Forecast(); }

 private:
  // Flows have no season that a minute of traffic shows: level and trend.
  predict::HoltWinters<1> holt_winters_{{}};
};

using MakeSeries = std::function<std::unique_ptr<Series>()>;

// One series a VM and real-valued target.
class ForecastModel : public RowModel {
 public:
  ForecastModel(const Dataset& data, const Dataset& training, MakeSeries make, bool knows_spread)
      : data_(data), make_(std::move(make)), knows_spread_(knows_spread), tells_(TellingRows(data)) {
    errors_.resize(data.targets.size());
    if (knows_spread_) return;
    ForecastModel first(training, make_);
    Walk(training, first, [&](std::size_t row, const Output& output, const Work&) {
      if (training.split[row] != kTraining) return;
      for (std::size_t t = 0; t < errors_.size(); ++t) {
        const Target& target = training.targets[t];
        if (!target.classes.empty() || !target.IsKnown(row) || std::isnan(output[t][0])) continue;
        errors_[t].Add(training.known_packets[row], target.value[row] - output[t][0]);
      }
    });
    for (Spread& each : errors_) each.Close();
  }

  void Step(std::size_t row, Output& output, Work& work) override {
    for (std::size_t t = 0; t < output.size(); ++t) {
      if (!data_.targets[t].classes.empty()) continue;
      const auto found = series_.find({VmOf(data_, row), t});
      if (found == series_.end()) continue;
      work.Add(WorkItem::kTableStep);
      work.Add(WorkItem::kCacheLine);
      const double point = found->second->Forecast();
      const std::vector<float>* errors = errors_[t].Of(data_.known_packets[row]);
      for (std::size_t i = 0; i < output[t].size(); ++i) {
        const double spread = knows_spread_       ? kNormal[i] * found->second->Deviation()
                              : errors == nullptr ? 0
                                                  : static_cast<double>((*errors)[i]);
        output[t][i] = static_cast<float>(point + spread);
      }
    }
  }

  void Learn(std::size_t row, std::size_t target, Work& work) override {
    if (!tells_[row] || !data_.targets[target].classes.empty()) return;
    auto& series = series_[{VmOf(data_, row), target}];
    if (!series) series = make_();
    series->Update(static_cast<double>(data_.targets[target].value[row]));
    work.Add(WorkItem::kUpdate);
  }

 private:
  ForecastModel(const Dataset& data, MakeSeries make)
      : data_(data), make_(std::move(make)), tells_(TellingRows(data)), errors_(data.targets.size()) {}

  // Rows of one sequence that resolve together tell of the same event (a flow, at birth and later): one of
  // them, the first, is a value of the series.
  static std::vector<bool> TellingRows(const Dataset& data) {
    std::vector<bool> tells(data.rows());
    std::map<std::uint32_t, std::int64_t> resolved;
    for (std::size_t row = 0; row < data.rows(); ++row) {
      if (!data.HasLabel(row)) continue;
      const std::int64_t known_ns = data.targets.front().resolved_ns[row];
      const auto [last, is_first] = resolved.try_emplace(data.sequence[row], known_ns);
      tells[row] = is_first || last->second != known_ns;
      last->second = known_ns;
    }
    return tells;
  }

  const Dataset& data_;
  MakeSeries make_;
  bool knows_spread_ = false;
  std::vector<bool> tells_;
  std::vector<Spread> errors_;  // a target: on the training rows
  std::map<std::pair<VmOfSource, std::size_t>, std::unique_ptr<Series>> series_;  // by VM and target
};

// Persistence: of classes and of values.
class Persistence : public RowModel {
 public:
  Persistence(const Dataset& data, const Dataset& training)
      : classes_(data, training, Feed::kOnline, Make),
        values_(
            data, training, [] { return std::make_unique<LastValue>(); }, false) {}
  void Step(std::size_t row, Output& output, Work& work) override {
    classes_.Step(row, output, work);
    values_.Step(row, output, work);
  }
  void Learn(std::size_t row, std::size_t target, Work& work) override {
    classes_.Learn(row, target, work);
    values_.Learn(row, target, work);
  }

 private:
  static std::unique_ptr<Classifier> Make(const Target& target) {
    if (target.ArePacketTypes())
      return std::make_unique<PathClassifier>(predict::PredictorKind::kPersistence);
    return std::make_unique<PersistenceClassifier>(target.classes.size());
  }

  ClassifierModel classes_;
  ForecastModel values_;
};

// The order and feed of a Markov model's name.
struct MarkovName {
  std::size_t order = 0;
  Feed feed = Feed::kOnline;
};

std::optional<MarkovName> ParseMarkov(const std::string& name) {
  if (name == "majority") return MarkovName{};
  if (name.rfind("markov", 0) != 0 || name.size() < 7) return std::nullopt;
  const char digit = name[6];
  const std::string rest = name.substr(7);
  if (digit < '1' || digit > '7') return std::nullopt;
  MarkovName parsed{static_cast<std::size_t>(digit - '0'), Feed::kOnline};
  if (rest == "-flow") {
    parsed.feed = Feed::kFlow;
    return parsed;
  }
  if (rest == "-warm") parsed.feed = Feed::kWarm;
  return (rest.empty() || rest == "-warm") && parsed.order <= 3 ? std::optional(parsed) : std::nullopt;
}

}  // namespace

std::unique_ptr<RowModel> MakeBaseline(const std::string& name, const Dataset& data, const Dataset& training,
                                       std::uint64_t seed) {
  if (name == "oracle") return std::make_unique<Oracle>(data);
  if (name == "random") return std::make_unique<Random>(data, seed);
  if (name == "base-rate") return std::make_unique<BaseRate>(data, training);
  if (name == "persistence") return std::make_unique<Persistence>(data, training);
  if (name == "size-so-far") return std::make_unique<SizeFromInput>("known_bytes", data, training);
  if (name == "last-of-peers") return std::make_unique<SizeFromInput>("peers_last", data, training);
  if (name == "ewma") {
    return std::make_unique<ForecastModel>(
        data, training, [] { return std::make_unique<EwmaSeries>(); }, false);
  }
  if (name == "ewma-variance") {
    return std::make_unique<ForecastModel>(
        data, training, [] { return std::make_unique<EwmaVarianceSeries>(); }, true);
  }
  if (name == "holt-winters") {
    return std::make_unique<ForecastModel>(
        data, training, [] { return std::make_unique<HoltWintersSeries>(); }, false);
  }
  const std::optional<MarkovName> markov = ParseMarkov(name);
  if (!markov) return nullptr;
  const MakeClassifier make = [markov = *markov](const Target& target) -> std::unique_ptr<Classifier> {
    if (markov.feed != Feed::kFlow && target.ArePacketTypes()) {
      constexpr auto kMajority = static_cast<std::size_t>(predict::PredictorKind::kMajority);
      return std::make_unique<PathClassifier>(static_cast<predict::PredictorKind>(kMajority + markov.order));
    }
    return std::make_unique<CountingClassifier>(markov.order, target.classes.size());
  };
  return std::make_unique<ClassifierModel>(data, training, markov->feed, make);
}

const char* BaselineNames() {
  return "oracle, random, base-rate, persistence, majority, markov1 to markov3, markov1-warm to "
         "markov3-warm, "
         "markov1-flow to markov7-flow, ewma, ewma-variance, holt-winters, size-so-far, last-of-peers";
}

}  // namespace foreflow::evaluate
