// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "models/wire/datagram.h"

// Input: a frame. Reading it reads nothing outside of it, and a payload that is found lies inside; who asked
// for our address gets an answer that asks nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  using namespace foreflow::wire;
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  // A copy of exactly that size: the sanitizer sees a read behind it.
  std::vector<std::uint8_t> frame(data, data + size);
  const DatagramEnd own = {{2, 0, 0, 0, 0, 1}, {10, 0, 0, 1}, 6900};
  Datagram datagram;
  Work work;
  const DatagramStatus status = ReadDatagram(own, {frame.data(), frame.size()}, datagram, work);
  require(Name(status) != nullptr);
  if (status == DatagramStatus::kDatagram) {
    require(datagram.offset >= kDatagramHeaderBytes && datagram.offset + datagram.size <= size);
  } else if (status == DatagramStatus::kAddressRequest) {
    AnswerArp(own, {frame.data(), frame.size()});
    require(ReadDatagram(own, {frame.data(), frame.size()}, datagram, work) == DatagramStatus::kOther);
  }
  return 0;
}
