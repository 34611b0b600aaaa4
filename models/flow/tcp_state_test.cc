// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/tcp_state.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <string>
#include <vector>

namespace foreflow::flow {
namespace {

constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kAck = 0x10;
constexpr std::uint32_t kIsn[2] = {0xfffffff0u, 5000};  // side 0 wraps during the connection

ConnectionPacket Tcp(int side, std::uint8_t flags, std::uint32_t sequence = 0,
                     std::uint32_t acknowledgement = 0, std::uint32_t payload = 0) {
  ConnectionPacket packet;
  packet.side = static_cast<std::uint8_t>(side);
  packet.is_tcp = true;
  packet.tcp_flags = flags;
  packet.sequence = sequence;
  packet.acknowledgement = acknowledgement;
  packet.payload_bytes = payload;
  return packet;
}

ConnectionPacket Udp(int side) {
  ConnectionPacket packet;
  packet.side = static_cast<std::uint8_t>(side);
  return packet;
}

struct Step {
  ConnectionPacket packet;
  Phase phase;
};

TEST(ConnectionState, FollowsPacketByPacket) {
  using P = Phase;
  struct Row {
    const char* name;
    std::vector<Step> steps;
  };
  const Row kRows[] = {
      {"handshake",
       {{Tcp(0, kSyn), P::kOpening}, {Tcp(1, kSyn | kAck), P::kOpening}, {Tcp(0, kAck), P::kEstablished}}},
      {"handshake opened by the other side",
       {{Tcp(1, kSyn), P::kOpening}, {Tcp(0, kSyn | kAck), P::kOpening}, {Tcp(1, kAck), P::kEstablished}}},
      {"repeated SYNs stay half open",
       {{Tcp(0, kSyn), P::kOpening},
        {Tcp(0, kSyn), P::kOpening},
        {Tcp(1, kSyn | kAck), P::kOpening},
        {Tcp(1, kSyn | kAck), P::kOpening}}},
      {"one side alone never establishes", {{Tcp(0, kSyn), P::kOpening}, {Tcp(0, kAck), P::kOpening}}},
      {"simultaneous open",
       {{Tcp(0, kSyn), P::kOpening},
        {Tcp(1, kSyn), P::kOpening},
        {Tcp(0, kSyn | kAck), P::kOpening},
        {Tcp(1, kSyn | kAck), P::kEstablished}}},
      {"picked up in the middle",
       {{Tcp(1, kAck, 9, 9, 100), P::kOpening}, {Tcp(0, kAck, 9, 109), P::kEstablished}}},
      {"refused", {{Tcp(0, kSyn), P::kOpening}, {Tcp(1, kRst | kAck), P::kClosed}}},
      {"reset, then late data, then a new connection on the same ports",
       {{Tcp(0, kAck), P::kOpening},
        {Tcp(1, kAck), P::kEstablished},
        {Tcp(1, kRst), P::kClosed},
        {Tcp(0, kAck, 1, 1, 10), P::kClosed},
        {Tcp(1, kSyn | kAck), P::kClosed},
        {Tcp(0, kSyn), P::kOpening},
        {Tcp(1, kSyn | kAck), P::kOpening},
        {Tcp(0, kAck), P::kEstablished}}},
      {"an old ACK does not acknowledge a FIN",
       {{Tcp(0, kAck, 100, 200), P::kOpening},
        {Tcp(1, kAck, 200, 100), P::kEstablished},
        {Tcp(0, kFin | kAck, 100, 200, 10), P::kClosing},
        {Tcp(1, kFin | kAck, 200, 100), P::kClosing},
        {Tcp(0, kAck, 111, 201), P::kClosing},
        {Tcp(1, kAck, 201, 110), P::kClosing},
        {Tcp(1, kAck, 201, 111), P::kClosed}}},
      {"UDP", {{Udp(0), P::kNew}, {Udp(0), P::kNew}, {Udp(1), P::kReplied}, {Udp(0), P::kReplied}}},
      {"UDP from the other side", {{Udp(1), P::kNew}, {Udp(0), P::kReplied}}},
  };
  for (const Row& row : kRows) {
    ConnectionState state;
    for (std::size_t i = 0; i < row.steps.size(); ++i) {
      const Phase before = state.phase();
      const bool changed = state.Track(row.steps[i].packet);
      EXPECT_EQ(state.phase(), row.steps[i].phase) << row.name << ", packet " << i;
      EXPECT_EQ(changed, state.phase() != before) << row.name << ", packet " << i;
    }
  }
}

// The reference: two endpoints as in RFC 9293 section 3.6, reduced to closing. Each may send one segment of
// data, then its FIN; each acknowledges what it received, at once or with what it sends next. Every order of
// sending, delivery and acknowledgement is tried; an observer beside endpoint 0 sees what 0 sends and what
// reaches 0.
struct Endpoint {
  std::uint32_t next_sequence = 0;
  std::uint32_t received = 0;  // next expected from the peer
  bool data_sent = false;
  bool fin_sent = false;
  bool fin_acked = false;
  bool fin_received = false;
  bool owes_ack = false;
  std::deque<ConnectionPacket> inbox;  // in order, nothing is lost
};

class CloseOrders {
 public:
  void Run(int data_side) {
    data_side_ = data_side;
    Endpoint ends[2];
    for (int side = 0; side < 2; ++side) {
      ends[side].next_sequence = kIsn[side];
      ends[side].received = kIsn[1 - side];
    }
    ConnectionState observer;
    observer.Track(Tcp(0, kAck, kIsn[0], kIsn[1]));
    observer.Track(Tcp(1, kAck, kIsn[1], kIsn[0]));
    ASSERT_EQ(observer.phase(), Phase::kEstablished);
    Explore(ends, observer, {});
  }
  std::size_t orders() const { return orders_; }

 private:
  // What the observer has seen, judged from the packets by themselves.
  struct Seen {
    bool fin[2] = {false, false};
    bool fin_acked[2] = {false, false};
  };

  void Observe(const ConnectionPacket& packet, const Endpoint* ends, ConnectionState& observer, Seen& seen) {
    const int other = 1 - packet.side;
    // The FIN is the last number each endpoint ever uses.
    const std::uint32_t fin_end = kIsn[other] + (ends[other].data_sent ? 10u : 0u) + 1u;
    if (seen.fin[other] && packet.acknowledgement == fin_end) seen.fin_acked[other] = true;
    if ((packet.tcp_flags & kFin) != 0) seen.fin[packet.side] = true;
    observer.Track(packet);
    const bool any = seen.fin[0] || seen.fin[1];
    const bool both = seen.fin_acked[0] && seen.fin_acked[1];
    ASSERT_EQ(observer.phase(), both ? Phase::kClosed : any ? Phase::kClosing : Phase::kEstablished);
  }

  void Send(Endpoint* ends, int side, std::uint8_t flags, std::uint32_t payload, ConnectionState& observer,
            Seen& seen) {
    Endpoint& end = ends[side];
    const ConnectionPacket packet =
        Tcp(side, static_cast<std::uint8_t>(flags | kAck), end.next_sequence, end.received, payload);
    end.next_sequence += payload + ((flags & kFin) != 0 ? 1 : 0);
    end.owes_ack = false;
    if (side == 0) Observe(packet, ends, observer, seen);
    ends[1 - side].inbox.push_back(packet);
  }

  void Deliver(Endpoint* ends, int side, ConnectionState& observer, Seen& seen) {
    Endpoint& end = ends[side];
    const ConnectionPacket packet = end.inbox.front();
    end.inbox.pop_front();
    if (side == 0) Observe(packet, ends, observer, seen);
    if (end.fin_sent && packet.acknowledgement == end.next_sequence) end.fin_acked = true;
    if (packet.payload_bytes > 0 || (packet.tcp_flags & kFin) != 0) {
      end.received = packet.sequence + packet.payload_bytes + ((packet.tcp_flags & kFin) != 0 ? 1 : 0);
      end.owes_ack = true;
    }
    if ((packet.tcp_flags & kFin) != 0) end.fin_received = true;
  }

  void Explore(const Endpoint (&ends)[2], const ConnectionState& observer, const Seen& seen) {
    if (::testing::Test::HasFatalFailure()) return;
    bool moved = false;
    for (int side = 0; side < 2; ++side) {
      for (int action = 0; action < 4; ++action) {
        Endpoint next[2] = {ends[0], ends[1]};
        ConnectionState watching = observer;
        Seen noted = seen;
        Endpoint& end = next[side];
        if (action == 0 && side == data_side_ && !end.data_sent && !end.fin_sent) {
          end.data_sent = true;
          Send(next, side, 0, 10, watching, noted);
        } else if (action == 1 && !end.fin_sent) {
          end.fin_sent = true;
          Send(next, side, kFin, 0, watching, noted);
        } else if (action == 2 && end.owes_ack) {
          Send(next, side, 0, 0, watching, noted);
        } else if (action == 3 && !end.inbox.empty()) {
          Deliver(next, side, watching, noted);
        } else {
          continue;
        }
        moved = true;
        Explore(next, watching, noted);
      }
    }
    if (moved) return;
    // Nothing is left to do: both endpoints have closed, and the observer knows.
    ++orders_;
    ASSERT_TRUE(ends[0].fin_acked && ends[1].fin_acked);
    ASSERT_EQ(observer.phase(), Phase::kClosed);
  }

  int data_side_ = 0;
  std::size_t orders_ = 0;
};

TEST(ConnectionState, ClosesInEveryOrder) {
  CloseOrders all;
  all.Run(0);
  all.Run(1);
  EXPECT_GT(all.orders(), 1000u);
}

// A RST closes from every phase that a packet sequence reaches.
TEST(ConnectionState, ResetClosesFromEveryPhase) {
  const std::vector<ConnectionPacket> kLife = {Tcp(0, kSyn, 9),       Tcp(1, kSyn | kAck, 99, 10),
                                               Tcp(0, kAck, 10, 100), Tcp(0, kFin | kAck, 10, 100),
                                               Tcp(1, kAck, 100, 11), Tcp(1, kFin | kAck, 100, 11),
                                               Tcp(0, kAck, 11, 101)};
  std::set<Phase> phases;
  ConnectionState state;
  for (const ConnectionPacket& packet : kLife) {
    for (int side = 0; side < 2; ++side) {
      ConnectionState copy = state;
      copy.Track(Tcp(side, kRst));
      EXPECT_EQ(copy.phase(), Phase::kClosed);
    }
    state.Track(packet);
    phases.insert(state.phase());
  }
  EXPECT_EQ(phases, (std::set<Phase>{Phase::kOpening, Phase::kEstablished, Phase::kClosing, Phase::kClosed}));
}

TEST(Phase, HasDistinctNames) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kPhases; ++i) names.insert(Name(static_cast<Phase>(i)));
  EXPECT_EQ(names.size(), kPhases);
  EXPECT_EQ(Name(Phase::kCount), nullptr);
}

}  // namespace
}  // namespace foreflow::flow
