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
constexpr std::size_t kParts = 4;        // fragments a packet
constexpr std::size_t kPartBytes = 352;  // of each: a multiple of 8, as IPv4 wants
constexpr std::size_t kPacketBytes = kParts * kPartBytes;
constexpr std::size_t kBurst = 32;
constexpr std::uint32_t kSession = 0;
constexpr auto kCipher = crypto::AeadAlgorithm::kAes256Gcm;
constexpr std::array<std::uint8_t, 32> kKey = {1, 2, 3};

void Require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// Buffers for so many packets under way at once, in the order of arrival: the first fragments of all, the
// second ones of all, and so on. All contenders use the same ones.
struct Buffers {
  explicit Buffers(std::size_t count) : packets(count) {
    const std::size_t mbufs = count * kParts;
    pool = rte_pktmbuf_pool_create(("fragments" + std::to_string(count)).c_str(),
                                   static_cast<unsigned>(mbufs + 64), 0, 0, RTE_PKTMBUF_HEADROOM + 512,
                                   SOCKET_ID_ANY);
    if (pool == nullptr) throw std::runtime_error("buffers: " + dpdk::ErrorOf());
    for (std::size_t i = 0; i < mbufs; ++i) mbuf.push_back(rte_pktmbuf_alloc(pool));
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
  // Places of a packet's fragments where `flows` packets are under way at once.
  std::size_t Place(std::size_t packet, std::size_t part, std::size_t flows) const {
    return packet / flows * flows * kParts + part * flows + packet % flows;
  }

  std::size_t packets;
  rte_mempool* pool;
  std::vector<rte_mbuf*> mbuf;
};

// The buffers of a burst, one burst ahead of it.
void PrefetchBuffers(const Buffers& buffers, std::size_t from) {
  const std::size_t end = std::min(from + kBurst, buffers.mbuf.size());
  for (std::size_t i = from; i < end; ++i) {
    rte_mbuf_prefetch_part1(buffers.mbuf[i]);
    rte_mbuf_prefetch_part2(buffers.mbuf[i]);
  }
}

// Times `work` on each burst's mbufs; nanoseconds a fragment of this thread's CPU time. `prepare`, untimed,
// makes the buffers as received.
template <typename Prepare, typename Work>
Contender Timed(std::shared_ptr<Buffers> buffers, std::size_t batches, Prepare prepare, Work work) {
  return [buffers, batches, prepare, work] {
    double seconds = 0;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      prepare();
      const double begin = ThreadSeconds();
      PrefetchBuffers(*buffers, 0);
      for (std::size_t i = 0; i < buffers->mbuf.size(); i += kBurst) {
        PrefetchBuffers(*buffers, i + kBurst);
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

struct NoSink final : shard::FragmentSink {
  void OnDropped(shard::FragmentHandle, FragmentFate) override {
    throw std::logic_error("a fragment was dropped");
  }
};

// Ours: parse, verify where that is asked for, put together, chain the buffers.
Contender Ours(const std::shared_ptr<Buffers>& buffers, std::size_t flows, std::size_t batches,
               bool is_verified) {
  struct State {
    explicit State(std::size_t flows)
        : sharder(kSession, false), opener(Opening()), reassembler(Holding(flows)) {
      opener.Begin(kSession);
      opener.keys(kSession)->Install(0, kCipher, kKey.data());
      sharder.keys().Install(0, kCipher, kKey.data());
    }
    static shard::OpenerConfig Opening() {
      shard::OpenerConfig config;
      config.replay_records = 1u << 17;
      return config;
    }
    // Twice the places that are needed.
    static shard::ReassemblerConfig Holding(std::size_t flows) {
      shard::ReassemblerConfig config;
      config.slots = 2 * kParts * flows;
      config.most_fragments = kParts;
      return config;
    }
    shard::Sharder sharder;
    shard::Opener opener;
    shard::Reassembler reassembler;
    NoSink sink;
    foreflow::Work work;
    std::vector<std::uint8_t> packet = std::vector<std::uint8_t>(kPacketBytes, 7);
    std::array<wire::ShardMessage, kBurst> messages;
    shard::WholePacket joined;
    std::size_t whole = 0;
  };
  auto state = std::make_shared<State>(flows);
  const auto prepare = [state, buffers, flows] {
    state->whole = 0;
    for (std::size_t packet = 0; packet < buffers->packets; ++packet) {
      const shard::PacketCut cut = state->sharder.Cut(kPacketBytes, kPartBytes);
      for (std::size_t part = 0; part < kParts; ++part) {
        rte_mbuf* const one = buffers->mbuf[buffers->Place(packet, part, flows)];
        const std::size_t bytes = state->sharder.FragmentDatagramBytes(cut, part);
        std::uint8_t* const at = Buffers::Reset(one, bytes);
        state->sharder.Seal(cut, part, {state->packet.data(), kPacketBytes}, Nanos(), {at, bytes},
                            state->work);
      }
    }
  };
  const auto work = [state, is_verified](rte_mbuf** mbufs, std::size_t count) {
    PrefetchBurst(mbufs, count);
    auto& messages = state->messages;
    for (std::size_t i = 0; i < count; ++i) {
      auto* const at = rte_pktmbuf_mtod(mbufs[i], std::uint8_t*);
      const std::size_t bytes = mbufs[i]->data_len;
      if (is_verified) {
        Require(state->opener.Open({at, bytes}, Nanos(), messages[i], state->work) == OpenStatus::kOpened,
                "a fragment was refused");
      } else {
        Require(wire::ReadShardMessage({at, bytes}, messages[i]) == wire::ShardFault::kNone,
                "a fragment was refused");
      }
      state->reassembler.Prefetch(0, messages[i].base());
    }
    for (std::size_t i = 0; i < count; ++i) {
      shard::ArrivedFragment fragment;
      fragment.base = messages[i].base();
      fragment.header = messages[i].fragment;
      fragment.epoch = messages[i].header.epoch;
      fragment.handle = reinterpret_cast<shard::FragmentHandle>(mbufs[i]);
      mbufs[i]->data_off = static_cast<std::uint16_t>(mbufs[i]->data_off + messages[i].associated.size);
      mbufs[i]->data_len = static_cast<std::uint16_t>(messages[i].sealed.size);
      shard::WholePacket& whole = state->joined;
      if (state->reassembler.Input(fragment, Nanos(), whole, state->sink, state->work) !=
          FragmentFate::kDelivered)
        continue;
      auto* const first = reinterpret_cast<rte_mbuf*>(whole.fragments[0]);
      rte_mbuf* last = first;
      for (std::size_t part = 1; part < whole.total; ++part) {
        last->next = reinterpret_cast<rte_mbuf*>(whole.fragments[part]);
        last = last->next;
      }
      first->nb_segs = whole.total;
      first->pkt_len = whole.length;
      ++state->whole;
    }
  };
  const auto timed = Timed(buffers, batches, prepare, work);
  return [state, buffers, timed] {
    const double nanos = timed();
    Require(state->whole == buffers->packets, "packets are not whole");
    return nanos;
  };
}

Contender IpFrag(const std::shared_ptr<Buffers>& buffers, std::size_t flows, std::size_t batches) {
  struct State {
    rte_ip_frag_tbl* table = nullptr;
    rte_ip_frag_death_row row{};
    std::uint16_t id = 0;
    std::size_t whole = 0;
  };
  auto state = std::make_shared<State>();
  // Twice the places that are needed: larger tables, as in DPDK's example, are slower.
  const auto room = static_cast<std::uint32_t>(std::max<std::size_t>(256, 2 * flows));
  state->table = rte_ip_frag_table_create(room / 16, 16, room, rte_get_tsc_hz(), SOCKET_ID_ANY);
  if (state->table == nullptr) throw std::runtime_error("rte_ip_frag_table_create: " + dpdk::ErrorOf());
  const auto prepare = [state, buffers, flows] {
    ++state->id;
    state->whole = 0;
    for (std::size_t packet = 0; packet < buffers->packets; ++packet) {
      for (std::size_t part = 0; part < kParts; ++part) {
        rte_mbuf* const one = buffers->mbuf[buffers->Place(packet, part, flows)];
        auto* const header =
            reinterpret_cast<rte_ipv4_hdr*>(Buffers::Reset(one, sizeof(rte_ipv4_hdr) + kPartBytes));
        std::memset(header, 0, sizeof(*header));
        header->version_ihl = 0x45;
        header->total_length = rte_cpu_to_be_16(sizeof(rte_ipv4_hdr) + kPartBytes);
        header->packet_id = rte_cpu_to_be_16(state->id);
        const auto offset = static_cast<std::uint16_t>(part * kPartBytes / 8);
        header->fragment_offset = rte_cpu_to_be_16(
            static_cast<std::uint16_t>(offset | (part + 1 < kParts ? RTE_IPV4_HDR_MF_FLAG : 0)));
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
  const auto timed = Timed(buffers, batches, prepare, work);
  return [state, buffers, timed] {
    const double nanos = timed();
    Require(state->whole == buffers->packets, "rte_ip_frag: packets are not whole");
    return nanos;
  };
}

// Each mbuf inserted by its number and drained in order: no packets are put together, nothing is parsed.
Contender Reorder(const std::shared_ptr<Buffers>& buffers, std::size_t batches) {
  struct State {
    rte_reorder_buffer* buffer = rte_reorder_create("shard", static_cast<unsigned>(SOCKET_ID_ANY), 4096);
    std::uint32_t number = 0;
    std::size_t drained = 0;
  };
  auto state = std::make_shared<State>();
  if (state->buffer == nullptr) throw std::runtime_error("rte_reorder_create: " + dpdk::ErrorOf());
  const auto prepare = [state, buffers] {
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
  const auto timed = Timed(buffers, batches, prepare, work);
  return [state, buffers, timed] {
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
        fragment.handle = part;
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
  const auto few = std::make_shared<Buffers>(128), many = std::make_shared<Buffers>(8192);
  for (const auto& [buffers, flows, batches] : {std::tuple(few, std::size_t{16}, std::size_t{40}),
                                                std::tuple(many, std::size_t{8192}, std::size_t{1})}) {
    for (const bool is_verified : {false, true}) {
      comparisons.push_back(
          {"shard/reassembly_" + std::to_string(flows) + (is_verified ? "_verified" : ""), "ns a fragment",
           dpdk + " rte_ip_frag" + (is_verified ? ", which verifies nothing" : ""), Better::kLess,
           Ours(buffers, flows, batches, is_verified), IpFrag(buffers, flows, batches)});
    }
  }
  comparisons.push_back({"shard/reassembly_16_beside_rte_reorder", "ns a fragment",
                         dpdk + " rte_reorder, which parses and joins nothing", Better::kLess,
                         Ours(few, 16, 40, false), Reorder(few, 40)});
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
