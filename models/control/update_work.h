// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_UPDATE_WORK_H_
#define FOREFLOW_MODELS_CONTROL_UPDATE_WORK_H_

#include <cstdint>

#include "models/base/work.h"

namespace foreflow::control {

// What keeping rules up to date takes, as work that a profile of hw-models prices; the same at either end.
// Counted by message and by change, since neither end is on a packet's path.

// `packets` of the secure channel, sealed or opened, of `bytes` in all: their headers (Ethernet, IP, UDP,
// record), the AEAD, and copying. A record is a hundred words of the tag's MAC and one for every 8 bytes,
// which are the 260 ns at 64 B and 625 ns at 1400 B of models/crypto within a tenth on a core of 2.6 GHz.
// What an operating system adds for a socket is not counted.
Work WorkOfRecords(std::uint64_t packets, std::uint64_t bytes);

// `changes` of rules that a controller asked for, or a device made: the change's encoding, the two digests of
// it, its entry by id; on the device the rule table's tuple and bucket as well.
Work WorkOfWishes(std::uint64_t changes);
Work WorkOfChanges(std::uint64_t changes);

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_UPDATE_WORK_H_
