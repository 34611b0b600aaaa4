// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/loss_filter.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

const ChannelModel& Checked(const ChannelModel& model) {
  const auto refuse = [](const char* key, const std::string& value, const char* allowed) {
    throw Refusal("channel model", key, value, allowed);
  };
  const auto check = [&](const char* key, double value, bool is_allowed, const char* allowed) {
    if (!is_allowed) refuse(key, std::to_string(value), allowed);
  };
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  check("to_bad", model.to_bad, is_share(model.to_bad), "0 .. 1");
  check("to_good", model.to_good, is_share(model.to_good) && model.to_good > 0, "above 0 .. 1");
  check("loss_good", model.loss_good, is_share(model.loss_good), "0 .. 1");
  check("loss_bad", model.loss_bad, is_share(model.loss_bad), "0 .. 1");
  Nanos before;
  double share = 1;
  for (const LatenessPoint& point : model.lateness) {
    const bool is_first = &point == model.lateness.data();
    if (is_first ? point.after != Nanos() : point.after <= before)
      refuse("lateness.after", std::to_string(point.after.count()) + " ns", "0 ns, then later ones");
    check("lateness.share", point.share, point.share >= 0 && point.share <= share,
          "0 .. 1, at most that of the point before");
    before = point.after;
    share = point.share;
  }
  return model;
}

// The share of `part` in all; certain where there is nothing.
double ShareOf(double part, double other) { return part + other > 0 ? part / (part + other) : 1; }

}  // namespace

LossFilter::LossFilter(const ChannelModel& model) : model_(Checked(model)) {
  late_ = model_.lateness.empty() ? 0 : model_.lateness.front().share;
  missing_good_ = model_.loss_good + (1 - model_.loss_good) * late_;
  missing_bad_ = model_.loss_bad + (1 - model_.loss_bad) * late_;
  lost_if_good_ = ShareOf(model_.loss_good, (1 - model_.loss_good) * late_);
  lost_if_bad_ = ShareOf(model_.loss_bad, (1 - model_.loss_bad) * late_);
  bad_ = model_.to_bad / (model_.to_bad + model_.to_good);
}

void LossFilter::OnReceived(Work& work) {
  work.Add(WorkItem::kMultiplyAdd, 10);
  const double bad = Step(bad_);
  const double in_bad = bad * (1 - model_.loss_bad), in_good = (1 - bad) * (1 - model_.loss_good);
  bad_ = in_bad + in_good > 0 ? in_bad / (in_bad + in_good) : bad;
}

void LossFilter::OnMissing(std::uint64_t run, Work& work) {
  work.Add(WorkItem::kMultiplyAdd, 20 * static_cast<std::uint32_t>(run));
  smoothed_ = static_cast<std::size_t>(std::min<std::uint64_t>(run, kMostRun));
  // Forward; posterior_ holds the states until they are smoothed.
  for (std::uint64_t i = 0; i < run; ++i) {
    const double bad = Step(bad_);
    bad_ = ShareOf(bad * missing_bad_, (1 - bad) * missing_good_);
    if (run - 1 - i < kMostRun) posterior_[static_cast<std::size_t>(run - 1 - i)] = bad_;
  }
  // Backward, from the number that came: what follows, by the state of the number in hand.
  double came_good = 1 - model_.loss_good, came_bad = 1 - model_.loss_bad;
  for (std::size_t back = 0; back < smoothed_; ++back) {
    const double after_good = (1 - model_.to_bad) * came_good + model_.to_bad * came_bad;
    const double after_bad = model_.to_good * came_good + (1 - model_.to_good) * came_bad;
    const double forward = posterior_[back];
    const double in_bad = forward * after_bad, in_good = (1 - forward) * after_good;
    const double bad = in_bad + in_good > 0 ? in_bad / (in_bad + in_good) : forward;
    posterior_[back] = bad * lost_if_bad_ + (1 - bad) * lost_if_good_;
    // Only their ratio counts, which keeps long runs away from 0.
    const double sum = after_good * missing_good_ + after_bad * missing_bad_;
    if (!(sum > 0)) continue;
    came_good = after_good * missing_good_ / sum;
    came_bad = after_bad * missing_bad_ / sum;
  }
}

double LossFilter::Posterior(std::uint64_t back) const {
  return posterior_[static_cast<std::size_t>(std::min<std::uint64_t>(back, smoothed_ - 1))];
}

// Lost with certainty c once S(t) / S(0) <= q (1 - c) / ((1 - q) c).
Nanos LossFilter::Wait(double posterior, double certainty) const {
  const double most = late_ * posterior * (1 - certainty);
  const double scale = (1 - posterior) * certainty;
  if (late_ * scale <= most) return Nanos();
  for (std::size_t i = 1; i < model_.lateness.size(); ++i) {
    const LatenessPoint& from = model_.lateness[i - 1];
    const LatenessPoint& to = model_.lateness[i];
    if (to.share * scale > most) continue;
    const double part = (from.share * scale - most) / ((from.share - to.share) * scale);
    return from.after +
           Nanos(static_cast<std::int64_t>(part * static_cast<double>((to.after - from.after).count())) + 1);
  }
  return model_.lateness.back().after + Nanos(1);
}

}  // namespace foreflow::shard
