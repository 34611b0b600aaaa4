// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/drift.h"

#include <algorithm>
#include <cmath>

#include "models/predict/fixed_log.h"

namespace foreflow::predict {
namespace {

// Natural logarithm of value >= 1, from fixed_log.h: the same bits everywhere.
double Ln(std::uint64_t value) {
  constexpr double kLn2 = 0.6931471805599453;
  return kLn2 / 4096 * Log2(static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX)));
}

// What joining two groups adds to their squared deviations.
double Between(double count0, double sum0, double count1, double sum1) {
  const double apart = sum0 / count0 - sum1 / count1;
  return apart * apart * count0 * count1 / (count0 + count1);
}

}  // namespace

Shift Adwin::Update(double score) {
  Add(std::clamp(score / range_, 0.0, 1.0));
  if (++since_check_ < kCheckEvery) return Shift::kNone;
  since_check_ = 0;
  const double before = mean();
  bool was_cut = false;
  while (HasCut()) {
    DropOldest();
    was_cut = true;
  }
  if (!was_cut) return Shift::kNone;
  return mean() > before ? Shift::kUp : Shift::kDown;
}

void Adwin::Add(double score) {
  if (count_ > 0) deviation_ += Between(static_cast<double>(count_), sum_, 1, score);
  sum_ += score;
  ++count_;
  if (rows_ == 0) rows_ = 1;
  Row& newest = row_[0];
  newest.bucket[newest.size++] = {score, 0};
  Compress();
}

// A row that is over-full passes its two oldest buckets on as one.
void Adwin::Compress() {
  for (std::size_t i = 0; i + 1 < kRows && row_[i].size > kBuckets; ++i) {
    Row& row = row_[i];
    Row& older = row_[i + 1];
    const auto each = static_cast<double>(std::uint64_t{1} << i);
    const Bucket& a = row.bucket[0];
    const Bucket& b = row.bucket[1];
    older.bucket[older.size++] = {a.sum + b.sum,
                                  a.deviation + b.deviation + Between(each, a.sum, each, b.sum)};
    std::copy(row.bucket.begin() + 2, row.bucket.begin() + static_cast<std::ptrdiff_t>(row.size),
              row.bucket.begin());
    row.size -= 2;
    rows_ = std::max(rows_, i + 2);
  }
}

void Adwin::DropOldest() {
  Row& row = row_[rows_ - 1];
  const Bucket oldest = row.bucket[0];
  std::copy(row.bucket.begin() + 1, row.bucket.begin() + static_cast<std::ptrdiff_t>(row.size),
            row.bucket.begin());
  --row.size;
  const std::uint64_t dropped = std::uint64_t{1} << (rows_ - 1);
  count_ -= dropped;
  sum_ -= oldest.sum;
  deviation_ -=
      oldest.deviation + Between(static_cast<double>(dropped), oldest.sum, static_cast<double>(count_), sum_);
  deviation_ = std::max(deviation_, 0.0);  // rounding
  while (rows_ > 1 && row_[rows_ - 1].size == 0) --rows_;
}

bool Adwin::HasCut() const {
  const auto all = static_cast<double>(count_);
  const double variance = deviation_ / all;
  const double log = Ln(static_cast<std::uint64_t>(2 * Ln(count_) * one_in_) + 1);
  std::uint64_t old_count = 0;
  double old_sum = 0;
  for (std::size_t i = rows_; i-- > 0;) {
    for (std::size_t k = 0; k < row_[i].size; ++k) {
      old_count += std::uint64_t{1} << i;
      old_sum += row_[i].bucket[k].sum;
      const std::uint64_t new_count = count_ - old_count;
      if (new_count < kSmallestPart) return false;
      if (old_count < kSmallestPart) continue;
      const auto n0 = static_cast<double>(old_count);
      const auto n1 = static_cast<double>(new_count);
      const double apart = std::abs(old_sum / n0 - (sum_ - old_sum) / n1);
      const double inverse = 1 / n0 + 1 / n1;
      if (apart > std::sqrt(2 * inverse * variance * log) + inverse * log * 2 / 3) return true;
    }
  }
  return false;
}

}  // namespace foreflow::predict
