// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/model_watch.h"

namespace foreflow::predict {

ModelWatch::Event ModelWatch::SeeModel(double loss) {
  if (!test_.Update(loss)) return Event::kNone;
  gap_ = 0;
  compared_ = 0;
  state_ = State::kFallback;
  return Event::kAlarm;
}

ModelWatch::Event ModelWatch::SeeBoth(double model_loss, double fallback_loss) {
  if (compared_ < kWindow) ++compared_;
  gap_ += (model_loss - fallback_loss - gap_) / compared_;
  if (compared_ < kProbation) return Event::kNone;
  if (Serves() && gap() > kMargin) {
    state_ = State::kFallback;
    return Event::kFellBack;
  }
  if (!Serves() && gap() < -kMargin) {
    state_ = State::kServing;
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
