// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/remote_tags.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "models/base/refusal.h"
#include "models/tag/tag_option.h"
#include "models/wire/geneve.h"
#include "models/wire/packet_builder.h"
#include "models/wire/tunnel.h"

namespace foreflow::tag {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Address = std::array<std::uint8_t, 16>;

constexpr crypto::Key128 kRemoteMaster = {1, 2, 3};
constexpr Address kSender = {192, 0, 2, 1};
constexpr Address kOther = {192, 0, 2, 9};
constexpr std::uint32_t kRed = 7;
constexpr std::uint32_t kBlue = 8;

// The sending host and its packets.
struct Sender {
  TagSealer sealer{kRemoteMaster, 3};
  wire::Tunnel tunnel;
  Work work;
  Sender() {
    tunnel.source_address = kSender;
    tunnel.destination_address = {192, 0, 2, 2};
    tunnel.vni = kRed;
  }
  Bytes Send(const Bytes& frame, flow::VmId vm, bool with_tag = true) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    const wire::Dissection inner = wire::Dissect(wire::Link::kEthernet, {frame.data(), bytes}, bytes, work);
    Bytes option(with_tag ? kTagOptionBytes : 0);
    if (with_tag) {
      EncodeOption(sealer.Seal(vm, predict::PacketType::kRequest, 60000, flow::KeyOf(inner, vm), bytes, work),
                   option.data());
    }
    Bytes outer(wire::OuterBytes(tunnel, option.size()));
    wire::Encapsulate(tunnel, inner, {frame.data(), bytes}, bytes, 99, {option.data(), option.size()},
                      outer.data(), work);
    outer.insert(outer.end(), frame.begin(), frame.end());
    return outer;
  }
};

// The receiving device: VMs 0..2 of the sender are red, 3 is blue.
struct Receiver {
  RemoteTags tags{{{kOther, {9}, {kRed}}, {kSender, kRemoteMaster, {kRed, kRed, kRed, kBlue}}}};
  Work work;
  PredictionTag tag;
  wire::Encapsulated inside;
  TagStatus Receive(const Bytes& outer) {
    const auto bytes = static_cast<std::uint32_t>(outer.size());
    const wire::Dissection packet = wire::Dissect(wire::Link::kEthernet, {outer.data(), bytes}, bytes, work);
    EXPECT_EQ(wire::Decapsulate(packet, {outer.data(), bytes}, bytes, inside, work), wire::TunnelStatus::kOk);
    return tags.Check(packet.source_address, inside.vni, inside.options, flow::KeyOf(inside.inner, 0),
                      inside.wire_bytes, tag, work);
  }
};

Bytes Frame(std::uint16_t port) {
  return wire::PacketBuilder().Ethernet().Ipv4().Tcp(40000, port).Payload(64).Build();
}

TEST(RemoteTags, VerifiesWhatTheOtherHostSealedAndLeavesTheFrameAsItWas) {
  Sender sender;
  Receiver receiver;
  const Bytes frame = Frame(443);
  const Bytes tagged = sender.Send(frame, 2);
  ASSERT_EQ(receiver.Receive(tagged), TagStatus::kValid);
  EXPECT_EQ(receiver.tag.vm, 2);
  EXPECT_EQ(receiver.tag.type, predict::PacketType::kRequest);
  EXPECT_EQ(receiver.tag.confidence, 60000);
  EXPECT_EQ(Bytes(receiver.inside.frame.begin(), receiver.inside.frame.end()), frame);
  const Bytes plain = sender.Send(frame, 2, false);
  EXPECT_EQ(receiver.Receive(plain), TagStatus::kAbsent);
  EXPECT_EQ(Bytes(receiver.inside.frame.begin(), receiver.inside.frame.end()), frame);
}

TEST(RemoteTags, TellsApartWhatIsNotGenuine) {
  Sender sender;
  sender.tunnel.udp_checksum = false;  // what is changed on the way is then the tag's to find
  Receiver receiver;
  const Bytes genuine = sender.Send(Frame(443), 1);
  const std::size_t option = wire::OuterBytes(sender.tunnel, 0);
  const auto with = [&](std::size_t at) {
    Bytes changed = genuine;
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ 1);
    return changed;
  };
  for (std::size_t byte = 0; byte < 2; ++byte) {
    EXPECT_EQ(receiver.Receive(with(option + byte)), TagStatus::kAbsent) << "the option's class";
  }
  for (const std::size_t byte : {0u, 1u, 2u, 3u, 8u, 11u, 12u, 19u}) {
    EXPECT_EQ(receiver.Receive(with(option + 4 + byte)), TagStatus::kForged) << byte;
  }
  EXPECT_EQ(receiver.Receive(with(option + 4 + 6)), TagStatus::kStale);
  EXPECT_EQ(receiver.Receive(with(genuine.size() - 64 - 20 + 3)), TagStatus::kForged) << "the inner port";
  EXPECT_EQ(receiver.Receive(with(14 + 12)), TagStatus::kForged) << "a host that is no peer";
  sender.tunnel.source_address = kOther;
  EXPECT_EQ(receiver.Receive(sender.Send(Frame(443), 0)), TagStatus::kForged) << "another peer's keys";
  EXPECT_EQ(receiver.Receive(sender.Send(Frame(443), 1)), TagStatus::kWrongVm) << "no VM of that peer";
  sender.tunnel.source_address = kSender;
  EXPECT_EQ(receiver.Receive(sender.Send(Frame(443), 3)), TagStatus::kWrongVm) << "a VM of another network";
  sender.tunnel.vni = kBlue;
  EXPECT_EQ(receiver.Receive(sender.Send(Frame(443), 3)), TagStatus::kValid);
  EXPECT_EQ(receiver.Receive(genuine), TagStatus::kValid) << "none of these used it up";
  EXPECT_EQ(receiver.Receive(genuine), TagStatus::kReplayed);
}

TEST(RemoteTags, RotatesEachVmOfEachPeer) {
  Sender sender;
  Receiver receiver;
  const Bytes old = sender.Send(Frame(1), 1);
  const Bytes older = sender.Send(Frame(2), 1);
  ASSERT_TRUE(receiver.tags.Rotate(kSender, 1));
  sender.sealer.Rotate(1);
  EXPECT_EQ(receiver.Receive(sender.Send(Frame(1), 1)), TagStatus::kValid);
  EXPECT_EQ(receiver.Receive(old), TagStatus::kValid);
  ASSERT_TRUE(receiver.tags.Rotate(kSender, 1));
  EXPECT_EQ(receiver.Receive(older), TagStatus::kStale);
  EXPECT_FALSE(receiver.tags.Rotate(kSender, 4));
  EXPECT_FALSE(receiver.tags.Rotate({1}, 1));
}

TEST(RemoteTags, RefusesAPeerThatComesTwiceOrHasNoVms) {
  EXPECT_THROW(RemoteTags({{kSender, kRemoteMaster, {}}}), Refusal);
  EXPECT_THROW(RemoteTags({{kSender, kRemoteMaster, {1}}, {kSender, kRemoteMaster, {1}}}), Refusal);
}

TEST(TagOption, HasAFixedForm) {
  SealedTag sealed;
  for (std::size_t i = 0; i < kTagBytes; ++i) sealed[i] = static_cast<std::uint8_t>(i + 1);
  Bytes option(kTagOptionBytes);
  EncodeOption(sealed, option.data());
  EXPECT_EQ(Bytes(option.begin(), option.begin() + 4), (Bytes{0xff, 0xf4, 0x01, 0x05}));
  EXPECT_TRUE(std::equal(sealed.begin(), sealed.end(), option.begin() + 4));
  SealedTag again;
  EXPECT_TRUE(DecodeOption({option.data(), option.size()}, again));
  EXPECT_EQ(again, sealed);
  EXPECT_FALSE(DecodeOption({option.data(), option.size() - 1}, again));
  option[3] = 4;
  EXPECT_FALSE(DecodeOption({option.data(), option.size()}, again));
}

}  // namespace
}  // namespace foreflow::tag
