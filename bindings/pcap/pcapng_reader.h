// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_PCAPNG_READER_H_
#define FOREFLOW_BINDINGS_PCAP_PCAPNG_READER_H_

#include <cstdint>
#include <vector>

#include "bindings/pcap/capture.h"

namespace foreflow::pcap {

constexpr std::uint32_t kPcapngMagic = 0x0a0d0d0a;  // a palindrome: the same in both byte orders

// Reads pcapng (draft-ietf-opsawg-pcapng) into `capture`, which then owns `bytes`: several sections of either
// byte order, several interfaces each with its own link type, time resolution and offset; enhanced, simple
// and the old packet blocks. libpcap refuses files whose interfaces differ in link type, hence this reader.
// Throws Refusal, naming capture.name and the byte where the file contradicts itself.
void ReadPcapng(Capture& capture, std::vector<std::uint8_t> bytes);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_PCAPNG_READER_H_
