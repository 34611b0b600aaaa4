// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/pcapng_reader.h"

#include <limits>
#include <string>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

__extension__ typedef __int128 Wide;

constexpr std::uint32_t kInterfaceBlock = 1;
constexpr std::uint32_t kOldPacketBlock = 2;
constexpr std::uint32_t kSimplePacketBlock = 3;
constexpr std::uint32_t kEnhancedPacketBlock = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint32_t kMaxBlockBytes = 16U << 20;
constexpr std::size_t kMaxInterfaces = 65'536;

constexpr std::uint16_t kOptionEnd = 0;
constexpr std::uint16_t kOptionTimeResolution = 9;
constexpr std::uint16_t kOptionTimeOffset = 14;

// Times outside 1970..2116 are set to the nearer end, so that differences of two never overflow.
constexpr std::int64_t kLatest = std::int64_t{1} << 62;

struct Interface {
  wire::Link link = wire::Link::kUnknown;
  std::uint32_t snap_length = 0;  // 0: no limit
  std::uint8_t resolution = 6;    // if_tsresol: 10^-n, or 2^-n with the high bit set
  std::int64_t offset_seconds = 0;
};

class Reader {
 public:
  Reader(Capture& capture, BytesView bytes) : capture_(capture), bytes_(bytes) {}

  void Run() {
    while (at_ < bytes_.size) {
      if (!ReadBlock()) break;
    }
    if (clamped_ > 0) {
      capture_.notes.push_back(std::to_string(clamped_) +
                               " times outside 1970..2116 were set to the nearer end");
    }
    if (timeless_ > 0) {
      capture_.notes.push_back(std::to_string(timeless_) +
                               " records carry no time and were given that of the record before");
    }
  }

 private:
  [[noreturn]] void Refuse(const std::string& what) const {
    throw Refusal(capture_.name + ": pcapng block at byte " + std::to_string(at_) + ": " + what);
  }
  void NoteCut() {
    capture_.notes.push_back("the file ends inside the block at byte " + std::to_string(at_) +
                             "; the records before it were read");
  }

  std::uint16_t Get16(std::size_t at) const {
    const auto a = bytes_.data[at], b = bytes_.data[at + 1];
    return big_ ? static_cast<std::uint16_t>(a << 8 | b) : static_cast<std::uint16_t>(b << 8 | a);
  }
  std::uint32_t Get32(std::size_t at) const {
    const std::uint32_t a = Get16(at), b = Get16(at + 2);
    return big_ ? a << 16 | b : b << 16 | a;
  }
  std::uint64_t Get64(std::size_t at) const {
    const std::uint64_t a = Get32(at), b = Get32(at + 4);
    return big_ ? a << 32 | b : b << 32 | a;
  }

  // One block at at_; false at the end of what can be read.
  bool ReadBlock() {
    const std::size_t left = bytes_.size - at_;
    if (left < 12) {
      NoteCut();
      return false;
    }
    const std::uint32_t type = Get32(at_);
    if (type == kPcapngMagic) {
      const std::uint32_t order = Get32(at_ + 8);
      if (order == __builtin_bswap32(kByteOrderMagic)) {
        big_ = !big_;
      } else if (order != kByteOrderMagic) {
        Refuse("the byte-order magic of its section is wrong");
      }
      interfaces_.clear();
    }
    const std::uint32_t length = Get32(at_ + 4);
    if (length < 12 || length % 4 != 0 || length > kMaxBlockBytes) {
      Refuse("its length is " + std::to_string(length) + ", allowed: multiples of 4 in 12.." +
             std::to_string(kMaxBlockBytes));
    }
    if (length > left) {
      NoteCut();
      return false;
    }
    if (Get32(at_ + length - 4) != length) Refuse("its two length fields differ");
    const std::size_t body = at_ + 8, end = at_ + length - 4;
    switch (type) {
      case kPcapngMagic:
        if (end - body < 16) Refuse("the section header is too short");
        if (Get16(body + 4) != 1) Refuse("format version " + std::to_string(Get16(body + 4)) + " is unknown");
        break;
      case kInterfaceBlock:
        ReadInterface(body, end);
        break;
      case kEnhancedPacketBlock:
        if (end - body < 20) Refuse("the packet block is too short");
        AddPacket(Get32(body), TimeUnits(body + 4), body + 20, end, Get32(body + 12), Get32(body + 16));
        break;
      case kOldPacketBlock:
        if (end - body < 20) Refuse("the packet block is too short");
        AddPacket(Get16(body), TimeUnits(body + 4), body + 20, end, Get32(body + 12), Get32(body + 16));
        break;
      case kSimplePacketBlock:
        ReadSimplePacket(body, end);
        break;
      default:  // statistics, names, secrets, custom blocks: no packets
        break;
    }
    at_ += length;
    return true;
  }

  void ReadInterface(std::size_t body, std::size_t end) {
    if (end - body < 8) Refuse("the interface block is too short");
    if (interfaces_.size() == kMaxInterfaces) Refuse("more than 65536 interfaces are declared");
    Interface interface;
    interface.link = LinkOf(Get16(body));
    interface.snap_length = Get32(body + 4);
    std::size_t at = body + 8;
    while (end - at >= 4) {
      const std::uint16_t code = Get16(at), size = Get16(at + 2);
      at += 4;
      if (code == kOptionEnd) break;
      if (size > end - at) Refuse("an option is longer than the block");
      if (code == kOptionTimeResolution && size == 1) {
        interface.resolution = bytes_.data[at];
        const int power = interface.resolution & 0x7f;
        if (power > ((interface.resolution & 0x80) != 0 ? 63 : 19)) {
          Refuse("time resolution " + std::to_string(interface.resolution) +
                 " is out of range, allowed: 10^-0..10^-19 or 2^-0..2^-63 s");
        }
      }
      if (code == kOptionTimeOffset && size == 8) {
        interface.offset_seconds = static_cast<std::int64_t>(Get64(at));
      }
      const std::size_t padded = (static_cast<std::size_t>(size) + 3) & ~std::size_t{3};
      at += padded < end - at ? padded : end - at;
    }
    interfaces_.push_back(interface);
  }

  std::uint64_t TimeUnits(std::size_t at) const {
    return static_cast<std::uint64_t>(Get32(at)) << 32 | Get32(at + 4);
  }

  Nanos ToTime(const Interface& interface, std::uint64_t units) {
    Wide nanos = 0;
    const int power = interface.resolution & 0x7f;
    if ((interface.resolution & 0x80) != 0) {
      nanos = (static_cast<Wide>(units) * 1'000'000'000) >> power;
    } else {
      Wide factor = 1;
      for (int i = power < 9 ? power : 9; i < (power < 9 ? 9 : power); ++i) factor *= 10;
      nanos = power < 9 ? static_cast<Wide>(units) * factor : static_cast<Wide>(units) / factor;
    }
    nanos += static_cast<Wide>(interface.offset_seconds) * 1'000'000'000;
    if (nanos < 0 || nanos > kLatest) {
      ++clamped_;
      nanos = nanos < 0 ? 0 : kLatest;
    }
    return Nanos(static_cast<std::int64_t>(nanos));
  }

  void AddPacket(std::uint32_t interface_id, std::uint64_t units, std::size_t data, std::size_t end,
                 std::uint32_t captured, std::uint32_t original) {
    if (interface_id >= interfaces_.size()) {
      Refuse("the packet names interface " + std::to_string(interface_id) + ", declared are " +
             std::to_string(interfaces_.size()));
    }
    last_time_ = ToTime(interfaces_[interface_id], units);
    Append(interfaces_[interface_id], data, end, captured, original);
  }

  void ReadSimplePacket(std::size_t body, std::size_t end) {
    if (end - body < 4) Refuse("the packet block is too short");
    if (interfaces_.empty()) Refuse("the packet names interface 0, declared are 0");
    const std::uint32_t original = Get32(body);
    const std::uint32_t limit = interfaces_[0].snap_length;
    const std::uint32_t captured = limit != 0 && limit < original ? limit : original;
    ++timeless_;
    Append(interfaces_[0], body + 4, end, captured, original);
  }

  void Append(const Interface& interface, std::size_t data, std::size_t end, std::uint32_t captured,
              std::uint32_t original) {
    if (captured > end - data || captured > kMaxCapturedBytes) {
      Refuse("the packet's captured length is " + std::to_string(captured) + ", allowed: up to " +
             std::to_string(kMaxCapturedBytes) + " and within the block");
    }
    if (original > kMaxWireBytes) {
      Refuse("the packet's wire length is " + std::to_string(original) + ", allowed: up to " +
             std::to_string(kMaxWireBytes));
    }
    Record record;
    record.link = interface.link;
    record.captured = {bytes_.data + data, captured};
    record.wire_bytes = original < captured ? captured : original;
    record.time = last_time_;
    capture_.records.push_back(record);
  }

  Capture& capture_;
  const BytesView bytes_;
  std::size_t at_ = 0;
  bool big_ = false;
  std::vector<Interface> interfaces_;  // of the current section
  Nanos last_time_;
  std::uint64_t clamped_ = 0;
  std::uint64_t timeless_ = 0;
};

}  // namespace

void ReadPcapng(Capture& capture, std::vector<std::uint8_t> bytes) {
  capture.storage = std::move(bytes);
  Reader(capture, {capture.storage.data(), capture.storage.size()}).Run();
}

}  // namespace foreflow::pcap
