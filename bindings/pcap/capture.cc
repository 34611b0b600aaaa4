// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/capture.h"

#include <pcap/pcap.h>
#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "bindings/pcap/pcapng_reader.h"
#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

// Reads a file, through gzip where it is compressed. `notes` hears of a compressed file that ends too early.
std::vector<std::uint8_t> ReadAll(const std::string& path, std::vector<std::string>& notes) {
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  errno = 0;
  const std::unique_ptr<gzFile_s, Close> file(gzopen(path.c_str(), "rb"));
  if (!file) throw Refusal(path + ": cannot be opened: " + std::strerror(errno));
  gzbuffer(file.get(), 1U << 17);
  std::vector<std::uint8_t> bytes;
  constexpr unsigned kStep = 1U << 20;
  while (true) {
    const std::size_t had = bytes.size();
    if (had > kMaxFileBytes) {
      throw Refusal(path, "size", "above " + std::to_string(kMaxFileBytes) + " bytes",
                    "captures that fit in memory; cut it with editcap -c");
    }
    bytes.resize(had + kStep);
    const int got = gzread(file.get(), bytes.data() + had, kStep);
    bytes.resize(had + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got > 0) continue;
    int code = 0;
    const char* message = gzerror(file.get(), &code);
    if (got == 0 && code == Z_OK) break;
    if (code == Z_BUF_ERROR) {
      notes.push_back("the compressed file ends too early; what could be decompressed was read");
      break;
    }
    throw Refusal(path + ": cannot be read: " + (code == Z_ERRNO ? std::strerror(errno) : message));
  }
  return bytes;
}

std::string HexOf(const std::vector<std::uint8_t>& bytes) {
  std::string text = "0x";
  for (std::size_t i = 0; i < 4 && i < bytes.size(); ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    text += digits;
  }
  return text;
}

bool IsClassicMagic(std::uint32_t magic) {
  switch (magic) {
    case 0xa1b2c3d4:  // microseconds
    case 0xa1b23c4d:  // nanoseconds
    case 0xa1b2cd34:  // microseconds, with a longer record header (an old Linux variant)
      return true;
    default:
      return false;
  }
}

// Classic pcap, by libpcap, which also knows its older variants.
void ReadClassic(Capture& capture, std::vector<std::uint8_t> bytes) {
  char error[PCAP_ERRBUF_SIZE] = "";
  std::FILE* file = fmemopen(bytes.data(), bytes.size(), "rb");
  if (file == nullptr) throw Refusal(capture.name + ": " + std::strerror(errno));
  pcap_t* opened = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
  if (opened == nullptr) {
    std::fclose(file);
    throw Refusal(capture.name + ": " + error);
  }
  struct Close {
    void operator()(pcap_t* p) const { pcap_close(p); }  // closes the file too
  };
  const std::unique_ptr<pcap_t, Close> reader(opened);
  const wire::Link link = LinkOf(static_cast<std::uint32_t>(pcap_datalink(reader.get())));

  // The records' bytes are never more than the file's, so this storage does not move.
  capture.storage.reserve(bytes.size());
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int result = 0;
  while ((result = pcap_next_ex(reader.get(), &header, &data)) == 1) {
    if (header->len > kMaxWireBytes) {
      throw Refusal(capture.name, "wire length of record " + std::to_string(capture.records.size() + 1),
                    std::to_string(header->len) + " bytes", "up to " + std::to_string(kMaxWireBytes));
    }
    const std::size_t offset = capture.storage.size();
    capture.storage.insert(capture.storage.end(), data, data + header->caplen);
    Record record;
    record.link = link;
    record.captured = {capture.storage.data() + offset, header->caplen};
    record.wire_bytes = header->len < header->caplen ? header->caplen : header->len;
    // With nanosecond precision asked for, tv_usec holds nanoseconds.
    record.time = Seconds(header->ts.tv_sec) + Nanos(header->ts.tv_usec);
    capture.records.push_back(record);
  }
  if (result == PCAP_ERROR) {
    const std::string message = pcap_geterr(reader.get());
    if (message.rfind("truncated dump file", 0) != 0) {
      throw Refusal(capture.name + ": record " + std::to_string(capture.records.size() + 1) + ": " + message);
    }
    capture.notes.push_back("the file ends inside record " + std::to_string(capture.records.size() + 1) +
                            "; the records before it were read");
  }
}

}  // namespace

wire::Link LinkOf(std::uint32_t linktype) {
  switch (linktype) {
    case 1:
      return wire::Link::kEthernet;
    case 12:   // DLT_RAW
    case 14:   // DLT_RAW on OpenBSD
    case 101:  // LINKTYPE_RAW
    case 228:  // LINKTYPE_IPV4
    case 229:  // LINKTYPE_IPV6
      return wire::Link::kRawIp;
    case 113:
      return wire::Link::kLinuxSll;
    case 276:
      return wire::Link::kLinuxSll2;
    case 0:    // LINKTYPE_NULL
    case 108:  // LINKTYPE_LOOP: the same header, always in network order
      return wire::Link::kNull;
    default:
      return wire::Link::kUnknown;
  }
}

Capture ReadCapture(const std::string& name, std::vector<std::uint8_t> bytes) {
  Capture capture;
  capture.name = name;
  if (bytes.size() < 4) {
    throw Refusal(name + ": not a pcap or pcapng capture (" + std::to_string(bytes.size()) + " bytes)");
  }
  const std::uint32_t little =
      static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
      static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
  const std::uint32_t big = __builtin_bswap32(little);
  if (little == kPcapngMagic) {
    ReadPcapng(capture, std::move(bytes));
  } else if (IsClassicMagic(little) || IsClassicMagic(big)) {
    ReadClassic(capture, std::move(bytes));
  } else {
    throw Refusal(name + ": not a pcap or pcapng capture (magic " + HexOf(bytes) + ")");
  }
  return capture;
}

Capture LoadCapture(const std::string& path) {
  std::vector<std::string> notes;
  std::vector<std::uint8_t> bytes = ReadAll(path, notes);
  Capture capture = ReadCapture(path, std::move(bytes));
  capture.notes.insert(capture.notes.begin(), notes.begin(), notes.end());
  return capture;
}

}  // namespace foreflow::pcap
