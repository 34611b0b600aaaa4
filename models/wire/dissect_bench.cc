// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <vector>

#include "models/wire/checksum.h"
#include "models/wire/dissect.h"
#include "models/wire/packet_builder.h"

namespace foreflow::wire {
namespace {

void DissectAll(benchmark::State& state, const PacketBuilder& builder) {
  const std::vector<std::uint8_t> bytes = builder.Build();
  Work work;
  for (auto _ : state) {
    Dissection packet = Dissect(Link::kEthernet, {bytes.data(), bytes.size()},
                                static_cast<std::uint32_t>(bytes.size()), work);
    benchmark::DoNotOptimize(packet);
  }
  state.SetItemsProcessed(state.iterations());
}

void Tcp64(benchmark::State& state) {
  DissectAll(state, PacketBuilder().Ethernet().Ipv4().Tcp(40000, 443).PadTo(60));
}
void Tcp1500(benchmark::State& state) {
  DissectAll(state, PacketBuilder().Ethernet().Ipv4().Tcp(40000, 443).Payload(1460));
}
void Ipv6Extensions(benchmark::State& state) {
  DissectAll(state,
             PacketBuilder().Ethernet().Ipv6().HopByHop().DestinationOptions().Tcp(40000, 443).Payload(64));
}
BENCHMARK(Tcp64)->Name("Wire/Dissect/Tcp64");
BENCHMARK(Tcp1500)->Name("Wire/Dissect/Tcp1500");
BENCHMARK(Ipv6Extensions)->Name("Wire/Dissect/Ipv6Extensions");

void Checksum(benchmark::State& state) {
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) benchmark::DoNotOptimize(InternetChecksum({bytes.data(), bytes.size()}));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Checksum)->Name("Wire/Checksum")->Arg(20)->Arg(1500);

}  // namespace
}  // namespace foreflow::wire
