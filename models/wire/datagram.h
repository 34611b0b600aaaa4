// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_DATAGRAM_H_
#define FOREFLOW_MODELS_WIRE_DATAGRAM_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/work.h"
#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"
#include "models/wire/udp.h"

namespace foreflow::wire {

// One end of UDP over IPv4 on an Ethernet, for devices that have no protocol stack of their own: they write
// datagrams to an end that they know, take those for them, and answer who asks for their MAC.
struct DatagramEnd {
  Mac mac{};
  Ipv4Address address{};
  std::uint16_t port = 0;
};

constexpr std::size_t kDatagramHeaderBytes = EthernetHeader::kBytes + Ipv4Header::kBytes + UdpHeader::kBytes;

// Writes the kDatagramHeaderBytes that go before `payload_bytes` (up to 65507) of payload; `ecn` is 0..3. Not
// to be fragmented; no UDP checksum, since what it is for has a stronger one of its own. Counts three
// kHeader.
void WriteDatagram(const DatagramEnd& from, const DatagramEnd& to, std::uint8_t ecn,
                   std::size_t payload_bytes, std::uint8_t* out, Work& work);

// What a frame is to an end.
enum class DatagramStatus : std::uint8_t {
  kDatagram,        // whole, and for it
  kAddressRequest,  // ARP of Ethernet and IPv4, for its address
  kOther,           // for somebody else, or of another protocol
  kMalformed,       // ends inside a header, or lengths contradict each other
  kFragment,        // a part of a datagram: the end puts none together
  kBadChecksum,     // of the IPv4 header, or the datagram's own
};
constexpr std::size_t kDatagramStatuses = static_cast<std::size_t>(DatagramStatus::kBadChecksum) + 1;
// The snake_case name; nullptr out of range.
const char* Name(DatagramStatus status);

// Where the payload of a frame is.
struct Datagram {
  std::size_t offset = 0;  // from the frame's first byte
  std::size_t size = 0;
  std::uint8_t ecn = 0;  // as it arrived, 0..3
  DatagramEnd from;
};

// `frame` is whole. Writes `datagram` where the result is kDatagram. Counts kHeader and kByteParsed, and
// kByteCopied over what a UDP checksum is over.
DatagramStatus ReadDatagram(const DatagramEnd& own, BytesView frame, Datagram& datagram, Work& work);

// Makes the answer of a frame that is kAddressRequest to `own`, in its place (RFC 826).
void AnswerArp(const DatagramEnd& own, MutableBytes frame);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_DATAGRAM_H_
