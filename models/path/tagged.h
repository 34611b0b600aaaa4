// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_TAGGED_H_
#define FOREFLOW_MODELS_PATH_TAGGED_H_

#include "models/tag/prediction_tag.h"

namespace foreflow::path {

// What travels beside a packet from host to device: descriptor metadata.
struct Tagged {
  bool has_tag = false;
  bool is_covered = false;  // by the tag of an earlier packet of the flow: see tag/burst_tags.h
  tag::SealedTag tag{};
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_TAGGED_H_
