// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_PCAPNG_WRITER_H_
#define FOREFLOW_BINDINGS_PCAP_PCAPNG_WRITER_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/wire/dissect.h"

namespace foreflow::pcap {

// Writes pcapng: one section, little-endian, one interface for each link type as it first appears, times in
// nanoseconds, a comment a packet where wanted. libpcap writes neither comments nor several link types.
class PcapngWriter {
 public:
  // Creates (or replaces) the file. Throws Refusal when it cannot be created.
  explicit PcapngWriter(const std::string& path);
  // Closes; an error on this way out is lost, so call Close() where that matters.
  ~PcapngWriter();
  PcapngWriter(const PcapngWriter&) = delete;
  PcapngWriter& operator=(const PcapngWriter&) = delete;

  // `time` since 1970, not before; `wire_bytes` >= captured.size where the packet was cut; kUnknown links are
  // written as LINKTYPE_USER0. Comments are UTF-8, cut at 64 KB. Throws std::runtime_error when the disk is
  // full.
  void Write(wire::Link link, BytesView captured, std::uint32_t wire_bytes, Nanos time,
             const std::string& comment = std::string());
  // Nothing may be written afterwards. Throws std::runtime_error when the disk is full.
  void Close();

 private:
  void Emit();

  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::vector<wire::Link> interfaces_;
  std::vector<std::uint8_t> block_;  // of the call in progress
};

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_PCAPNG_WRITER_H_
