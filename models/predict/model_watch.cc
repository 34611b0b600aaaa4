// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/model_watch.h"

#include <algorithm>

namespace foreflow::predict {

void ModelWatch::Turn(State state) {
  state_ = state;
  gap_ = 0;
  compared_ = 0;
  served_ = 0;
  if (state == State::kFallback) probation_ = std::min(2 * probation_, kLongestProbation);
}

ModelWatch::Event ModelWatch::SeeModel(double loss) {
  if (!Serves()) return Event::kNone;
  if (++served_ == kTrust) {
    served_ = 0;
    probation_ = std::max(probation_ / 2, kProbation);
  }
  if (!test_.Update(loss)) return Event::kNone;
  Turn(State::kFallback);
  return Event::kAlarm;
}

ModelWatch::Event ModelWatch::SeeBoth(double model_loss, double fallback_loss) {
  if (compared_ < std::max(kWindow, probation_)) ++compared_;
  gap_ += (model_loss - fallback_loss - gap_) / compared_;
  if (Serves() && compared_ >= kProbation && gap_ > kMargin) {
    Turn(State::kFallback);
    return Event::kFellBack;
  }
  if (!Serves() && compared_ >= probation_ && gap_ < -kMargin) {
    Turn(State::kServing);
    test_ = PageHinkley(kTest);
    return Event::kRecovered;
  }
  return Event::kNone;
}

const char* Name(ModelWatch::State state) {
  switch (state) {
    case ModelWatch::State::kServing:
      return "serving";
    case ModelWatch::State::kFallback:
      return "fallback";
  }
  return nullptr;
}

const char* Name(ModelWatch::Event event) {
  switch (event) {
    case ModelWatch::Event::kNone:
      return "none";
    case ModelWatch::Event::kAlarm:
      return "alarm";
    case ModelWatch::Event::kFellBack:
      return "fell_back";
    case ModelWatch::Event::kRecovered:
      return "recovered";
  }
  return nullptr;
}

}  // namespace foreflow::predict
