// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_TEST_BYTES_H_
#define FOREFLOW_BINDINGS_PCAP_TEST_BYTES_H_

#include <cstdint>
#include <vector>

namespace foreflow::pcap {

// Files written field by field, in either byte order, for tests: also such as no writer would write.
class FileBytes {
 public:
  explicit FileBytes(bool big) : big_(big) {}

  FileBytes& U16(std::uint16_t value) { return Put(value, 2); }
  FileBytes& U32(std::uint32_t value) { return Put(value, 4); }
  FileBytes& U64(std::uint64_t value) { return Put(value, 8); }
  FileBytes& Raw(const std::vector<std::uint8_t>& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  FileBytes& Pad() {
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    return *this;
  }

  // Classic pcap.
  FileBytes& Header(std::uint32_t magic, std::uint32_t linktype, std::uint32_t snap_length = 65535) {
    return U32(magic).U16(2).U16(4).U32(0).U32(0).U32(snap_length).U32(linktype);
  }
  FileBytes& Record(std::uint32_t seconds, std::uint32_t fraction, const std::vector<std::uint8_t>& data,
                    std::uint32_t wire_bytes) {
    return U32(seconds).U32(fraction).U32(static_cast<std::uint32_t>(data.size())).U32(wire_bytes).Raw(data);
  }

  // pcapng. A block's body is made by another FileBytes of the same order.
  FileBytes& Block(std::uint32_t type, const FileBytes& body) {
    FileBytes padded = body;
    padded.Pad();
    const auto length = static_cast<std::uint32_t>(padded.bytes_.size() + 12);
    return U32(type).U32(length).Raw(padded.bytes_).U32(length);
  }
  FileBytes& Section() {
    return Block(0x0a0d0d0a, FileBytes(big_).U32(0x1a2b3c4d).U16(1).U16(0).U64(UINT64_MAX));
  }
  FileBytes& Interface(std::uint16_t linktype, std::uint32_t snap_length = 0,
                       const std::vector<std::uint8_t>& options = {}) {
    return Block(1, FileBytes(big_).U16(linktype).U16(0).U32(snap_length).Raw(options));
  }
  FileBytes& Enhanced(std::uint32_t interface, std::uint64_t time, const std::vector<std::uint8_t>& data,
                      std::uint32_t wire_bytes) {
    return Block(6, FileBytes(big_)
                        .U32(interface)
                        .U32(static_cast<std::uint32_t>(time >> 32))
                        .U32(static_cast<std::uint32_t>(time))
                        .U32(static_cast<std::uint32_t>(data.size()))
                        .U32(wire_bytes)
                        .Raw(data));
  }

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  FileBytes& Put(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * (big_ ? size - 1 - i : i))));
    }
    return *this;
  }

  bool big_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_TEST_BYTES_H_
