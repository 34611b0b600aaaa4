// SPDX-License-Identifier: BSD-3-Clause
// Fragments put together, beside DPDK's rte_ip_frag and rte_reorder on the same buffers in one process, in
// turns; and the whole way of a packet beside the bare cipher. Prints the JSON list of `foreflow bench`.
#define ALLOW_EXPERIMENTAL_API  // rte_reorder's number of a buffer
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_ip_frag.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_reorder.h>
#include <rte_version.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bench/measure.h"
#include "bindings/dpdk/eal.h"
#include "models/shard/opener.h"
#include "models/shard/reassembler.h"
#include "models/shard/sharder.h"

namespace foreflow::bench {
namespace {

using shard::FragmentFate;
using shard::OpenStatus;

constexpr double kNanosASecond = 1e9;
constexpr std::size_t kPartBytes = 352;  // of a fragment: a multiple of 8, as IPv4 wants
constexpr std::size_t kMostParts = 4;    // fragments a packet
constexpr std::size_t kBurst = 32;
constexpr Nanos kBurstTime = Micros(2);
constexpr std::size_t kAhead = 4;  // fragments between fetching a text and opening it
constexpr std::uint32_t kSession = 0;
constexpr auto kCipher = crypto::AeadAlgorithm::kAes256Gcm;
constexpr std::array<std::uint8_t, 32> kKey = {1, 2, 3};

void Require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// Buffers that fragments are received into, the same ones for all contenders: few enough to stay in the
// cache, or so many that each has left it when it is received into again.
struct Buffers {
  explicit Buffers(std::size_t count) {
    rte_mempool* const pool = rte_pktmbuf_pool_create(("fragments" + std::to_string(count)).c_str(),
                                                      static_cast<unsigned>(count + 64), 0, 0,
                                                      RTE_PKTMBUF_HEADROOM + 512, SOCKET_ID_ANY);
    if (pool == nullptr) throw std::runtime_error("buffers: " + dpdk::ErrorOf());
    for (std::size_t i = 0; i < count; ++i) mbuf.push_back(rte_pktmbuf_alloc(pool));
    first = reinterpret_cast<std::uintptr_t>(*std::min_element(mbuf.begin(), mbuf.end()));
    const auto last = reinterpret_cast<std::uintptr_t>(*std::max_element(mbuf.begin(), mbuf.end()));
    Require((last - first) / RTE_CACHE_LINE_SIZE <= ~shard::FragmentHandle{0}, "buffers lie too far apart");
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  // As received: one segment of `bytes`.
  static std::uint8_t* Reset(rte_mbuf* one, std::size_t bytes) {
    one->next = nullptr;
    one->nb_segs = 1;
    one->data_off = RTE_PKTMBUF_HEADROOM;
    one->data_len = static_cast<std::uint16_t>(bytes);
    one->pkt_len = static_cast<std::uint32_t>(bytes);
    one->ol_flags = 0;
    one->tx_offload = 0;
    return rte_pktmbuf_mtod(one, std::uint8_t*);
  }
  shard::FragmentHandle HandleOf(const rte_mbuf* one) const {
    return static_cast<shard::FragmentHandle>((reinterpret_cast<std::uintptr_t>(one) - first) /
                                              RTE_CACHE_LINE_SIZE);
  }
  rte_mbuf* At(shard::FragmentHandle handle) const {
    return reinterpret_cast<rte_mbuf*>(first + std::uintptr_t{handle} * RTE_CACHE_LINE_SIZE);
  }

  std::vector<rte_mbuf*> mbuf;
  std::uintptr_t first;
};

// What arrives: packets of `parts` fragments, `flows` of them under way at once: the first fragments of all
// those, the second ones of all, and so on, until all buffers are used; and that `batches` times.
struct Arrivals {
  std::shared_ptr<Buffers> buffers;
  std::size_t parts;
  std::size_t flows;
  std::size_t batches;

  std::size_t packets() const { return buffers->mbuf.size() / parts; }
  rte_mbuf* Buffer(std::size_t packet, std::size_t part) const {
    return buffers->mbuf[packet / flows * flows * parts + part * flows + packet % flows];
  }
};

// The headers of a burst's buffers, one burst ahead of it: those lines that the contender looks at as they
// come.
enum class Lines { kFirst, kBoth };
void PrefetchBuffers(const Buffers& buffers, std::size_t from, Lines lines) {
  const std::size_t end = std::min(from + kBurst, buffers.mbuf.size());
  for (std::size_t i = from; i < end; ++i) {
    rte_mbuf_prefetch_part1(buffers.mbuf[i]);
    if (lines == Lines::kBoth) rte_mbuf_prefetch_part2(buffers.mbuf[i]);
  }
}

// Times `work` on each burst's mbufs; nanoseconds a fragment of this thread's CPU time. `prepare`, untimed,
// makes the buffers as received.
template <typename Prepare, typename Work>
Contender Timed(const Arrivals& arrivals, Lines lines, Prepare prepare, Work work) {
  return [buffers = arrivals.buffers, batches = arrivals.batches, lines, prepare, work] {
    double seconds = 0;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      prepare();
      const double begin = ThreadSeconds();
      PrefetchBuffers(*buffers, 0, lines);
      for (std::size_t i = 0; i < buffers->mbuf.size(); i += kBurst) {
        PrefetchBuffers(*buffers, i + kBurst, lines);
        work(&buffers->mbuf[i], std::min(kBurst, buffers->mbuf.size() - i));
      }
      seconds += ThreadSeconds() - begin;
    }
    return seconds * kNanosASecond / static_cast<double>(batches * buffers->mbuf.size());
  };
}

void PrefetchBurst(rte_mbuf** mbufs, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
}
// What lies behind the first line.
void PrefetchText(const rte_mbuf* one) {
  const auto* const at = rte_pktmbuf_mtod(one, const std::uint8_t*);
  for (std::size_t i = RTE_CACHE_LINE_SIZE; i < one->data_len; i += RTE_CACHE_LINE_SIZE)
    rte_prefetch0(at + i);
}

// Fragments as a sender cuts and seals them.
class Sealed {
 public:
  explicit Sealed(const Arrivals& arrivals)
      : arrivals_(arrivals), packet_(arrivals.parts * kPartBytes, 7), sharder_(kSession, false) {
    sharder_.keys().Install(0, kCipher, kKey.data());
  }
  void Fill() {
    foreflow::Work work;
    for (std::size_t packet = 0; packet < arrivals_.packets(); ++packet) {
      const shard::PacketCut cut = sharder_.Cut(packet_.size(), kPartBytes);
      for (std::size_t part = 0; part < arrivals_.parts; ++part) {
        const std::size_t bytes = sharder_.FragmentDatagramBytes(cut, part);
        std::uint8_t* const at = Buffers::Reset(arrivals_.Buffer(packet, part), bytes);
        sharder_.Seal(cut, part, {packet_.data(), packet_.size()}, Nanos(), {at, bytes}, work);
      }
    }
  }
  std::uint64_t next_number() const { return sharder_.next_number(); }

 private:
  Arrivals arrivals_;
  std::vector<std::uint8_t> packet_;
  shard::Sharder sharder_;
};

struct NoSink final : shard::FragmentSink {
  void OnDropped(shard::FragmentHandle, FragmentFate) override {
    throw std::logic_error("a fragment was dropped");
  }
};

// A packet that is whole, its buffers on the way to the cache.
struct Joined {
  std::array<rte_mbuf*, kMostParts> parts;
  std::size_t total;
  std::uint16_t length;
};

// Ours: parse, verify where that is asked for, put together, chain the buffers.
Contender Ours(const Arrivals& arrivals, bool is_verified) {
  struct State {
    explicit State(const Arrivals& of)
        : sealed(of), opener(Opening()), reassembler(Holding(of)), buffers(of.buffers) {
      opener.Begin(kSession);
      opener.keys(kSession)->Install(0, kCipher, kKey.data());
    }
    static shard::OpenerConfig Opening() {
      shard::OpenerConfig config;
      config.replay_records = 1u << 17;
      return config;
    }
    // Twice the places that are needed.
    static shard::ReassemblerConfig Holding(const Arrivals& of) {
      shard::ReassemblerConfig config;
      config.slots = 2 * of.parts * of.flows;
      config.most_fragments = kMostParts;
      return config;
    }
    Sealed sealed;
    shard::Opener opener;
    shard::Reassembler reassembler;
    std::shared_ptr<Buffers> buffers;
    NoSink sink;
    foreflow::Work work;
    Nanos now;
    std::array<shard::ArrivedFragment, kBurst> arrived;
    std::array<Joined, kBurst> joined;
    std::size_t whole = 0;
  };
  auto state = std::make_shared<State>(arrivals);
  const auto prepare = [state] {
    state->whole = 0;
    state->sealed.Fill();
  };
  const auto work = [state, is_verified](rte_mbuf** mbufs, std::size_t count) {
    PrefetchBurst(mbufs, count);
    State& with = *state;
    with.now += kBurstTime;
    with.reassembler.Expire(with.now, with.sink, with.work);
    for (std::size_t i = 0; is_verified && i < std::min(kAhead, count); ++i) PrefetchText(mbufs[i]);
    for (std::size_t i = 0; i < count; ++i) {
      if (is_verified && i + kAhead < count) PrefetchText(mbufs[i + kAhead]);
      rte_mbuf* const one = mbufs[i];
      const MutableBytes datagram = {rte_pktmbuf_mtod(one, std::uint8_t*), one->data_len};
      wire::ShardMessage message;
      Require(is_verified ? with.opener.Open(datagram, with.now, message, with.work) == OpenStatus::kOpened
                          : wire::ReadShardMessage(datagram, message) == wire::ShardFault::kNone,
              "a fragment was refused");
      shard::ArrivedFragment& fragment = with.arrived[i];
      fragment.base = message.base();
      fragment.header = message.fragment;
      fragment.epoch = message.header.epoch;
      fragment.handle = with.buffers->HandleOf(one);
      with.reassembler.Prefetch(0, fragment.base, fragment.header.index);
      one->data_off = static_cast<std::uint16_t>(one->data_off + message.associated.size);
      one->data_len = static_cast<std::uint16_t>(message.sealed.size);
    }
    std::size_t packets = 0;
    shard::WholePacket whole;
    for (std::size_t i = 0; i < count; ++i) {
      if (with.reassembler.Input(with.arrived[i], with.now, whole, with.sink, with.work) !=
          FragmentFate::kDelivered)
        continue;
      Joined& joined = with.joined[packets++];
      joined.total = whole.total;
      joined.length = whole.length;
      for (std::size_t part = 0; part < whole.total; ++part) {
        joined.parts[part] = with.buffers->At(whole.fragments[part]);
        rte_mbuf_prefetch_part2(joined.parts[part]);
      }
      rte_mbuf_prefetch_part1(joined.parts[0]);
    }
    for (std::size_t i = 0; i < packets; ++i) {
      const Joined& joined = with.joined[i];
      for (std::size_t part = 1; part < joined.total; ++part)
        joined.parts[part - 1]->next = joined.parts[part];
      joined.parts[0]->nb_segs = static_cast<std::uint16_t>(joined.total);
      joined.parts[0]->pkt_len = joined.length;
    }
    with.whole += packets;
  };
  const auto timed = Timed(arrivals, Lines::kFirst, prepare, work);
  return [state, packets = arrivals.packets(), timed] {
    const double nanos = timed();
    Require(state->whole == packets, "packets are not whole");
    return nanos;
  };
}

// What no verifying can do without: the cipher alone on the same buffers, its nonces ready.
Contender BareOpening(const Arrivals& arrivals) {
  struct State {
    explicit State(const Arrivals& of) : sealed(of), nonces(of.buffers->mbuf.size()) {
      key.Set(kCipher, kKey.data());
    }
    Sealed sealed;
    crypto::AeadKey key;
    std::vector<crypto::AeadNonce> nonces;
    std::size_t next = 0;
  };
  auto state = std::make_shared<State>(arrivals);
  const auto prepare = [state, arrivals] {
    const std::uint64_t first = state->sealed.next_number();
    state->sealed.Fill();
    state->next = 0;
    const std::size_t flows = arrivals.flows, parts = arrivals.parts;
    for (std::size_t i = 0; i < state->nonces.size(); ++i) {
      const std::size_t turn = i / (flows * parts), in_turn = i % (flows * parts);
      const std::size_t packet = turn * flows + in_turn % flows;
      state->nonces[i] = shard::ShardNonce(kSession, first + packet * parts + in_turn / flows);
    }
  };
  const auto work = [state](rte_mbuf** mbufs, std::size_t count) {
    PrefetchBurst(mbufs, count);
    constexpr std::size_t kClear = wire::ShardClearBytes(wire::ShardType::kData, false);
    for (std::size_t i = 0; i < std::min(kAhead, count); ++i) PrefetchText(mbufs[i]);
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) PrefetchText(mbufs[i + kAhead]);
      auto* const at = rte_pktmbuf_mtod(mbufs[i], std::uint8_t*);
      Require(state->key.Open(state->nonces[state->next++], {at, kClear}, {at + kClear, kPartBytes},
                              at + kClear + kPartBytes, at + kClear),
              "a text of our own was refused");
    }
  };
  return Timed(arrivals, Lines::kFirst, prepare, work);
}

Contender IpFrag(const Arrivals& arrivals) {
  struct State {
    rte_ip_frag_tbl* table = nullptr;
    rte_ip_frag_death_row row{};
    std::uint16_t id = 0;
    std::size_t whole = 0;
  };
  auto state = std::make_shared<State>();
  // Twice the places that are needed: larger tables, as in DPDK's example, are slower.
  const auto room = static_cast<std::uint32_t>(std::max<std::size_t>(256, 2 * arrivals.flows));
  state->table = rte_ip_frag_table_create(room / 16, 16, room, rte_get_tsc_hz(), SOCKET_ID_ANY);
  if (state->table == nullptr) throw std::runtime_error("rte_ip_frag_table_create: " + dpdk::ErrorOf());
  const auto prepare = [state, arrivals] {
    ++state->id;
    state->whole = 0;
    for (std::size_t packet = 0; packet < arrivals.packets(); ++packet) {
      for (std::size_t part = 0; part < arrivals.parts; ++part) {
        rte_mbuf* const one = arrivals.Buffer(packet, part);
        auto* const header =
            reinterpret_cast<rte_ipv4_hdr*>(Buffers::Reset(one, sizeof(rte_ipv4_hdr) + kPartBytes));
        std::memset(header, 0, sizeof(*header));
        header->version_ihl = 0x45;
        header->total_length = rte_cpu_to_be_16(sizeof(rte_ipv4_hdr) + kPartBytes);
        header->packet_id = rte_cpu_to_be_16(state->id);
        const auto offset = static_cast<std::uint16_t>(part * kPartBytes / 8);
        header->fragment_offset = rte_cpu_to_be_16(
            static_cast<std::uint16_t>(offset | (part + 1 < arrivals.parts ? RTE_IPV4_HDR_MF_FLAG : 0)));
        header->next_proto_id = 17;
        header->src_addr = static_cast<rte_be32_t>(rte_cpu_to_be_32(static_cast<std::uint32_t>(packet)));
        header->dst_addr = rte_cpu_to_be_32(0x0a000001);
        one->l3_len = sizeof(rte_ipv4_hdr);
      }
    }
  };
  const auto work = [state](rte_mbuf** mbufs, std::size_t count) {
    PrefetchBurst(mbufs, count);
    const std::uint64_t now = rte_rdtsc();
    for (std::size_t i = 0; i < count; ++i) {
      auto* const header = rte_pktmbuf_mtod(mbufs[i], rte_ipv4_hdr*);
      if (rte_ipv4_frag_reassemble_packet(state->table, &state->row, mbufs[i], now, header) != nullptr)
        ++state->whole;
    }
    Require(state->row.cnt == 0, "rte_ip_frag dropped a fragment");
  };
  const auto timed = Timed(arrivals, Lines::kBoth, prepare, work);
  return [state, packets = arrivals.packets(), timed] {
    const double nanos = timed();
    Require(state->whole == packets, "rte_ip_frag: packets are not whole");
    return nanos;
  };
}

// Each mbuf inserted by its number and drained in order: no packets are put together, nothing is parsed.
Contender Reorder(const Arrivals& arrivals) {
  struct State {
    rte_reorder_buffer* buffer = rte_reorder_create("shard", static_cast<unsigned>(SOCKET_ID_ANY), 4096);
    std::uint32_t number = 0;
    std::size_t drained = 0;
  };
  auto state = std::make_shared<State>();
  if (state->buffer == nullptr) throw std::runtime_error("rte_reorder_create: " + dpdk::ErrorOf());
  const auto prepare = [state, buffers = arrivals.buffers] {
    state->drained = 0;
    for (std::size_t i = 0; i < buffers->mbuf.size(); ++i) {
      Buffers::Reset(buffers->mbuf[i], kPartBytes);
      // Pairs are swapped.
      *rte_reorder_seqn(buffers->mbuf[i]) = state->number + static_cast<std::uint32_t>(i ^ 1);
    }
    state->number += static_cast<std::uint32_t>(buffers->mbuf.size());
  };
  const auto work = [state](rte_mbuf** mbufs, std::size_t count) {
    PrefetchBurst(mbufs, count);
    for (std::size_t i = 0; i < count; ++i) {
      // The first to come, number 1, makes it begin there: number 0 is late, and the caller's.
      if (rte_reorder_insert(state->buffer, mbufs[i]) != 0) ++state->drained;
    }
    std::array<rte_mbuf*, 2 * kBurst> out;
    state->drained += rte_reorder_drain(state->buffer, out.data(), static_cast<unsigned>(out.size()));
  };
  const auto timed = Timed(arrivals, Lines::kBoth, prepare, work);
  return [state, buffers = arrivals.buffers, timed] {
    const double nanos = timed();
    Require(state->drained == buffers->mbuf.size(), "rte_reorder kept a packet");
    return nanos;
  };
}

constexpr std::size_t kWholePackets = 2'000;

// Cut, sealed, opened, put together and joined: Gbit/s of packets, both ends in one thread.
Contender WholePath(std::size_t packet_bytes, std::size_t most) {
  struct State {
    State() : sharder(kSession, false), opener({}), reassembler({}) {
      opener.Begin(kSession);
      opener.keys(kSession)->Install(0, kCipher, kKey.data());
      sharder.keys().Install(0, kCipher, kKey.data());
    }
    shard::Sharder sharder;
    shard::Opener opener;
    shard::Reassembler reassembler;
    NoSink sink;
    foreflow::Work work;
  };
  auto state = std::make_shared<State>();
  return [state, packet_bytes, most] {
    const std::vector<std::uint8_t> packet(packet_bytes, 7);
    std::vector<std::vector<std::uint8_t>> datagrams(64, std::vector<std::uint8_t>(packet_bytes + 64));
    std::size_t whole_packets = 0;
    const double begin = ThreadSeconds();
    for (std::size_t i = 0; i < kWholePackets; ++i) {
      const shard::PacketCut cut = state->sharder.Cut(packet_bytes, most);
      for (std::size_t part = 0; part < cut.total; ++part) {
        std::vector<std::uint8_t>& datagram = datagrams[part];
        const std::size_t bytes = state->sharder.Seal(cut, part, {packet.data(), packet_bytes}, Nanos(),
                                                      {datagram.data(), datagram.size()}, state->work);
        wire::ShardMessage message;
        Require(state->opener.Open({datagram.data(), bytes}, Nanos(), message, state->work) ==
                    OpenStatus::kOpened,
                "a fragment was refused");
        shard::ArrivedFragment fragment;
        fragment.base = message.base();
        fragment.header = message.fragment;
        fragment.epoch = message.header.epoch;
        fragment.handle = static_cast<shard::FragmentHandle>(part);
        shard::WholePacket whole;
        if (state->reassembler.Input(fragment, Nanos(), whole, state->sink, state->work) ==
            FragmentFate::kDelivered)
          ++whole_packets;
      }
    }
    const double seconds = ThreadSeconds() - begin;
    Require(whole_packets == kWholePackets, "packets are not whole");
    return static_cast<double>(kWholePackets * packet_bytes) * 8 / seconds / 1e9;
  };
}

// The same pieces sealed and opened by the cipher alone.
Contender BareCipher(std::size_t packet_bytes, std::size_t most) {
  auto key = std::make_shared<crypto::AeadKey>();
  key->Set(kCipher, kKey.data());
  auto number = std::make_shared<std::uint64_t>(0);
  return [key, number, packet_bytes, most] {
    const std::vector<std::uint8_t> packet(packet_bytes, 7);
    std::vector<std::uint8_t> sealed(packet_bytes + wire::kShardTagBytes);
    const BytesView associated{kKey.data(), 24};
    const double begin = ThreadSeconds();
    const std::size_t total = shard::FragmentsFor(packet_bytes, most);
    for (std::size_t i = 0; i < kWholePackets * total; ++i) {
      const std::size_t part = i % total;
      const std::size_t bytes = wire::FragmentBytes(packet_bytes, total, part);
      const crypto::AeadNonce nonce = shard::ShardNonce(kSession, ++*number);
      key->Seal(nonce, associated, {packet.data(), bytes}, sealed.data(), sealed.data() + bytes);
      Require(key->Open(nonce, associated, {sealed.data(), bytes}, sealed.data() + bytes, sealed.data()),
              "a text of our own was refused");
    }
    return static_cast<double>(kWholePackets * packet_bytes) * 8 / (ThreadSeconds() - begin) / 1e9;
  };
}

std::vector<Row> MeasureAll() {
  std::vector<Comparison> comparisons;
  const std::string dpdk = rte_version();
  const auto few = std::make_shared<Buffers>(512), many = std::make_shared<Buffers>(32'768);
  for (const std::size_t parts : {std::size_t{4}, std::size_t{2}}) {
    for (const auto& [name, arrivals] : {std::pair("16", Arrivals{few, parts, 16, 40}),
                                         std::pair("16_uncached", Arrivals{many, parts, 16, 1}),
                                         std::pair("8192", Arrivals{many, parts, 8192, 1})}) {
      const std::string row = "shard/reassembly_" + std::string(name) + (parts == 4 ? "" : "_of_2");
      comparisons.push_back({row, "ns a fragment", dpdk + " rte_ip_frag", Better::kLess,
                             Ours(arrivals, false), IpFrag(arrivals)});
      comparisons.push_back({row + "_verified", "ns a fragment",
                             dpdk + " rte_ip_frag, which verifies nothing", Better::kLess,
                             Ours(arrivals, true), IpFrag(arrivals)});
      comparisons.push_back({row + "_verified_beside_bare", "ns a fragment",
                             "AES-256-GCM alone, on the same buffers", Better::kLess, Ours(arrivals, true),
                             BareOpening(arrivals)});
    }
  }
  const Arrivals few_of_4{few, 4, 16, 40};
  comparisons.push_back({"shard/reassembly_16_beside_rte_reorder", "ns a fragment",
                         dpdk + " rte_reorder, which parses and joins nothing", Better::kLess,
                         Ours(few_of_4, false), Reorder(few_of_4)});
  for (const auto& [bytes, most] : {std::pair(1400, 1400), std::pair(1400, 350), std::pair(9000, 1400)}) {
    const auto packet = static_cast<std::size_t>(bytes);
    comparisons.push_back({"shard/whole_path_" + std::to_string(bytes) + "_by_" + std::to_string(most),
                           "Gbit/s, both ends in one thread", "AES-256-GCM alone, the same pieces",
                           Better::kMore, WholePath(packet, static_cast<std::size_t>(most)),
                           BareCipher(packet, static_cast<std::size_t>(most))});
  }
  return Measure(comparisons);
}

}  // namespace
}  // namespace foreflow::bench

int main() {
  return foreflow::bench::Report([] {
    const foreflow::dpdk::Eal eal(foreflow::dpdk::UnprivilegedEal(1024), 0,
                                  foreflow::dpdk::Placement::kFloating);
    return foreflow::bench::MeasureAll();
  });
}
