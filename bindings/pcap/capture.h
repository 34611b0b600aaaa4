// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_CAPTURE_H_
#define FOREFLOW_BINDINGS_PCAP_CAPTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/wire/dissect.h"

namespace foreflow::pcap {

// A file may not be larger than this once it is decompressed, since it is held in memory.
constexpr std::uint64_t kMaxFileBytes = 4ULL << 30;
// Longer records are refused: no link carries them, so the file is damaged. The first is libpcap's own bound.
constexpr std::uint32_t kMaxCapturedBytes = 262'144;
constexpr std::uint32_t kMaxWireBytes = 16U << 20;

// One packet record as the file has it.
struct Record {
  wire::Link link = wire::Link::kUnknown;
  BytesView captured;            // owned by the Capture
  std::uint32_t wire_bytes = 0;  // length on the wire, >= captured.size
  Nanos time;                    // since 1970, as recorded: may run backwards
};

// A whole capture in memory. Movable; the records' bytes stay where they are when it moves.
class Capture {
 public:
  Capture() = default;
  Capture(Capture&&) = default;
  Capture& operator=(Capture&&) = default;
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  std::string name;                // the path it was read from
  std::vector<Record> records;     // in file order, one for every packet record
  std::vector<std::string> notes;  // sentences: what was odd about the file, and what was done about it

  std::vector<std::uint8_t> storage;  // what `records` point into
};

// The frame format of a LINKTYPE_ or DLT_ number (tcpdump.org/linktypes.html); kUnknown where there is none.
wire::Link LinkOf(std::uint32_t linktype);

// Reads pcap (micro- and nanosecond, either byte order) and pcapng, gzip-compressed or not. A file that ends
// inside a record is read as far as it goes, with a note. Throws Refusal: FILE cannot be opened, is no
// capture, or contradicts itself.
Capture LoadCapture(const std::string& path);

// The same from bytes that are already in memory; `name` is for messages.
Capture ReadCapture(const std::string& name, std::vector<std::uint8_t> bytes);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_CAPTURE_H_
