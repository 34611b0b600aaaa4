// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_TAG_OPTION_H_
#define FOREFLOW_MODELS_TAG_TAG_OPTION_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::tag {

// A prediction tag between hosts: a Geneve option (RFC 8926, section 3.5) of 4 + 20 bytes. The class is one
// of those for experiments (section 7). Not critical: who does not know the option takes the packet without
// it, as it takes one without a tag.
constexpr std::uint16_t kTagOptionClass = 0xfff4;
constexpr std::uint8_t kTagOptionType = 0x01;
constexpr std::size_t kTagOptionBytes = 4 + kTagBytes;
static_assert(kTagBytes % 4 == 0, "options have whole words");

// Writes kTagOptionBytes.
void EncodeOption(const SealedTag& sealed, std::uint8_t* out24);
// The first such option of `options` (all of a packet's); false where there is none of that length.
bool DecodeOption(BytesView options, SealedTag& sealed);

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_TAG_OPTION_H_
