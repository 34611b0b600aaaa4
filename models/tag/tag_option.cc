// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/tag_option.h"

#include <algorithm>

#include "models/wire/geneve.h"

namespace foreflow::tag {

void EncodeOption(const SealedTag& sealed, std::uint8_t* out24) {
  wire::GeneveOption option;
  option.option_class = kTagOptionClass;
  option.type = kTagOptionType;
  option.words = kTagBytes / 4;
  std::copy(sealed.begin(), sealed.end(), wire::Encode(out24, out24 + kTagOptionBytes, option));
}

bool DecodeOption(BytesView options, SealedTag& sealed) {
  const BytesView body = wire::FindOption(options, kTagOptionClass, kTagOptionType);
  if (body.size != kTagBytes) return false;
  std::copy(body.begin(), body.end(), sealed.begin());
  return true;
}

}  // namespace foreflow::tag
