// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_IMPAIRMENT_H_
#define FOREFLOW_BINDINGS_CONFIG_IMPAIRMENT_H_

#include "bindings/config/strict_json.h"
#include "models/impair/impairment.h"

namespace foreflow::config {

// {"paths": [{"rate_mbps", "queue_kb", "mark_kb", "largest_bytes", "loss", "burst": {"to_bad", "to_good",
// "good_ms", "bad_ms", "loss_good", "loss_bad"}, "bit_errors", "delay_us", "jitter_us", "jitter_shape",
// "keeps_order", "late", "late_least_us", "late_most_us", "duplicate", "duplicate_after_us", "corrupt"}],
// "framing_bytes"}: units by the names, shares 0 .. 1, each key as in impair::PathConfig. What is left out
// has the default from there, which is a path that passes everything at once. Throws Refusal on what is
// unknown, of another type or out of range.
impair::ImpairmentConfig ReadImpairment(const Value& value);

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_IMPAIRMENT_H_
