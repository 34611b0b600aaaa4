// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/pcapng_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "bindings/pcap/pcapng_reader.h"
#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

template <typename T>
void Put(std::vector<std::uint8_t>& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

void Pad(std::vector<std::uint8_t>& out) { out.resize((out.size() + 3) & ~std::size_t{3}); }

void PutOption(std::vector<std::uint8_t>& out, std::uint16_t code, const void* data, std::size_t size) {
  Put(out, code);
  Put(out, static_cast<std::uint16_t>(size));
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
  Pad(out);
}

// Begins a block; its length is filled in by Seal.
void Begin(std::vector<std::uint8_t>& block, std::uint32_t type) {
  block.clear();
  Put(block, type);
  Put(block, std::uint32_t{0});
}

void Seal(std::vector<std::uint8_t>& block) {
  const auto length = static_cast<std::uint32_t>(block.size() + 4);
  for (std::size_t i = 0; i < 4; ++i) block[4 + i] = static_cast<std::uint8_t>(length >> (8 * i));
  Put(block, length);
}

std::uint16_t LinkTypeOf(wire::Link link) {
  switch (link) {
    case wire::Link::kEthernet:
      return 1;
    case wire::Link::kRawIp:
      return 101;
    case wire::Link::kLinuxSll:
      return 113;
    case wire::Link::kLinuxSll2:
      return 276;
    case wire::Link::kNull:
      return 0;
    case wire::Link::kUnknown:
      break;
  }
  return 147;  // LINKTYPE_USER0
}

}  // namespace

PcapngWriter::PcapngWriter(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wb")) {
  if (!file_) throw Refusal(path + ": cannot be created: " + std::strerror(errno));
  Begin(block_, kPcapngMagic);
  Put(block_, std::uint32_t{0x1a2b3c4d});  // byte order
  Put(block_, std::uint16_t{1});           // version 1.0
  Put(block_, std::uint16_t{0});
  Put(block_, std::int64_t{-1});  // section length: not said
  Emit();
}

PcapngWriter::~PcapngWriter() = default;

void PcapngWriter::Emit() {
  Seal(block_);
  if (std::fwrite(block_.data(), 1, block_.size(), file_.get()) != block_.size()) {
    throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(errno));
  }
}

void PcapngWriter::Write(wire::Link link, BytesView captured, std::uint32_t wire_bytes, Nanos time,
                         const std::string& comment) {
  auto interface = std::find(interfaces_.begin(), interfaces_.end(), link);
  if (interface == interfaces_.end()) {
    constexpr std::uint8_t kNanoseconds = 9;  // 10^-9 s
    Begin(block_, 1);
    Put(block_, LinkTypeOf(link));
    Put(block_, std::uint16_t{0});
    Put(block_, std::uint32_t{0});  // no snap length
    PutOption(block_, 9, &kNanoseconds, 1);
    PutOption(block_, 0, nullptr, 0);
    Emit();
    interfaces_.push_back(link);
    interface = interfaces_.end() - 1;
  }
  const auto nanos = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
  Begin(block_, 6);
  Put(block_, static_cast<std::uint32_t>(interface - interfaces_.begin()));
  Put(block_, static_cast<std::uint32_t>(nanos >> 32));
  Put(block_, static_cast<std::uint32_t>(nanos));
  Put(block_, static_cast<std::uint32_t>(captured.size));
  Put(block_, std::max(wire_bytes, static_cast<std::uint32_t>(captured.size)));
  block_.insert(block_.end(), captured.begin(), captured.end());
  Pad(block_);
  if (!comment.empty()) {
    PutOption(block_, 1, comment.data(), std::min<std::size_t>(comment.size(), 65'535));
    PutOption(block_, 0, nullptr, 0);
  }
  Emit();
}

void PcapngWriter::Close() {
  if (!file_) return;
  if (std::fclose(file_.release()) != 0) {
    throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(errno));
  }
}

}  // namespace foreflow::pcap
