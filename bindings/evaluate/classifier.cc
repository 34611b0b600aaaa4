// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/classifier.h"

#include <algorithm>

#include "models/predict/packet_type.h"

namespace foreflow::evaluate {
namespace {

// The newest `order` symbols, and how many they are.
std::uint64_t KeyOf(const History& history, std::size_t order) {
  std::uint64_t key = order + 1;
  for (std::size_t i = 0; i < order; ++i) key = key << 8 | history.symbol[i];
  return key;
}

}  // namespace

predict::Context ContextOf(const History& history, int last) {
  predict::Context context;
  std::copy_n(history.symbol.begin(), context.symbol.size(), context.symbol.begin());
  context.length = static_cast<std::uint8_t>(std::min<std::size_t>(history.length, context.symbol.size()));
  if (last >= 0) context.last_label = static_cast<predict::PacketType>(last);
  return context;
}

void PathClassifier::Predict(const History& history, int last, std::vector<float>& probability, Work& work) {
  const predict::Prediction prediction = predictor_->Predict(ContextOf(history, last), work);
  for (std::size_t i = 0; i < probability.size(); ++i) {
    probability[i] = static_cast<float>(prediction.probability[i]) / 65535.0f;
  }
}

void PathClassifier::Learn(const History& history, int last, int truth, Work& work) {
  predictor_->Learn(ContextOf(history, last), static_cast<predict::PacketType>(truth), work);
}

CountingClassifier::CountingClassifier(std::size_t order, std::size_t classes)
    : order_(std::min(order, History::kLength)), classes_(classes) {}

void CountingClassifier::Predict(const History& history, int /*last*/, std::vector<float>& probability,
                                 Work& work) {
  std::fill(probability.begin(), probability.end(), 1.0f / static_cast<float>(classes_));
  for (std::size_t k = 0; k <= std::min<std::size_t>(order_, history.length); ++k) {
    work.Add(WorkItem::kTableStep);
    work.Add(WorkItem::kCacheLine);
    const auto found = contexts_.find(KeyOf(history, k));
    if (found == contexts_.end()) break;
    const Counts& counts = found->second;
    const float scale = 1.0f / static_cast<float>(counts.total + counts.distinct);
    work.Add(WorkItem::kMultiplyAdd, static_cast<std::uint32_t>(classes_));
    for (std::size_t i = 0; i < classes_; ++i) {
      probability[i] =
          (static_cast<float>(counts.count[i]) + static_cast<float>(counts.distinct) * probability[i]) *
          scale;
    }
  }
}

void CountingClassifier::Learn(const History& history, int /*last*/, int truth, Work& work) {
  for (std::size_t k = 0; k <= std::min<std::size_t>(order_, history.length); ++k) {
    Counts& counts = contexts_[KeyOf(history, k)];
    if (counts.count.empty()) counts.count.resize(classes_);
    if (counts.count[static_cast<std::size_t>(truth)]++ == 0) ++counts.distinct;
    ++counts.total;
    work.Add(WorkItem::kUpdate);
  }
}

void PersistenceClassifier::Predict(const History& /*history*/, int last, std::vector<float>& probability,
                                    Work& work) {
  work.Add(WorkItem::kTableStep);
  const auto classes = static_cast<float>(classes_);
  if (last < 0) {
    std::fill(probability.begin(), probability.end(), 1.0f / classes);
    return;
  }
  // Laplace's rule: never certain.
  const float sure = static_cast<float>(hits_ + 1) / (static_cast<float>(seen_) + classes);
  std::fill(probability.begin(), probability.end(), (1.0f - sure) / (classes - 1.0f));
  probability[static_cast<std::size_t>(last)] = sure;
}

void PersistenceClassifier::Learn(const History& /*history*/, int last, int truth, Work& work) {
  work.Add(WorkItem::kUpdate);
  if (last < 0) return;
  ++seen_;
  if (last == truth) ++hits_;
}

}  // namespace foreflow::evaluate
