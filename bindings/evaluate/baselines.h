// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_BASELINES_H_
#define FOREFLOW_BINDINGS_EVALUATE_BASELINES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "bindings/evaluate/row_model.h"

namespace foreflow::evaluate {

// The predictors that need no model file, by name:
//
//   name                  says                                                     learns
//   oracle                the truth                                                -
//   random                all classes alike, the likeliest drawn from `seed`       -
//   base-rate             how often each class came; the quantiles of the values   training rows
//   persistence           the VM's last known label; its last value                online, a VM each
//   majority              how often each class came to the VM                      online, a VM each
//   markov1, -2, -3       Markov over the VM's symbols, as on the data path        online, a VM each
//   markovK-warm          the same                                                 training rows, then online
//   markovK-flow, K 1..7  Markov over the conversation's symbols, exact counts     training rows
//   ewma, holt-winters    a forecast of the VM's next value                        online, a VM each
//   ewma-variance         the same, spread as a normal distribution                online, a VM each
//   size-so-far           `size` is what the flow has carried by now (thresholds)  -
//   last-of-peers         `size` of the last flow of these hosts and this service  -
//
// "As on the data path": where the classes are the packet types, the predictors of
// models/predict/type_predictor.h; else exact counts. Forecasts of real values state quantiles: the forecast,
// and around it the quantiles of its errors on the training rows with as many packets of the flow known.
// "Training rows" are those of split 0 of `training`, which may be `data` itself; rows that were learnt from
// before the walk are not learnt again.
//
// nullptr where `name` is none of these. Both datasets must outlive the model.
std::unique_ptr<RowModel> MakeBaseline(const std::string& name, const Dataset& data, const Dataset& training,
                                       std::uint64_t seed);

// The names above, for a refusal.
const char* BaselineNames();

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_BASELINES_H_
