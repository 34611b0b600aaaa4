// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_BUNDLE_H_
#define FOREFLOW_SCENARIOS_SHARD_BUNDLE_H_

#include <cstdint>
#include <vector>

#include "models/shard/host_frame.h"
#include "ns3/ethernet-header.h"
#include "ns3/foreflow-frame-device.h"

namespace foreflow::scenarios {

// One Ethernet over several ports of a host without a unit: a flow keeps to one port, as with link
// aggregation and where switches spread load.
class Bundle final : public ns3::foreflow::FrameDevice {
 public:
  static ns3::TypeId GetTypeId() {
    static ns3::TypeId tid =
        ns3::TypeId("foreflow::scenarios::Bundle").SetParent<ns3::foreflow::FrameDevice>();
    return tid;
  }
  // A port of the same node, that nobody else uses.
  void Add(ns3::Ptr<ns3::foreflow::FrameDevice> port) {
    port->SetPromiscReceiveCallback(ns3::MakeCallback(&Bundle::FromPort, this));
    ports_.push_back(port);
  }

  void ReceiveFrame(ns3::Ptr<ns3::Packet> frame) override { HandUp(frame); }
  bool TransmitFrame(ns3::Ptr<ns3::Packet> frame) override {
    bytes_.resize(frame->GetSize());
    frame->CopyData(bytes_.data(), frame->GetSize());
    Work work;
    const std::size_t flow = shard::ReadHostFrame({bytes_.data(), bytes_.size()}, work).flow;
    ns3::EthernetHeader header;
    frame->RemoveHeader(header);
    return ports_[flow % ports_.size()]->SendFrom(frame, header.GetSource(), header.GetDestination(),
                                                  header.GetLengthType());
  }
  ns3::Ptr<ns3::Channel> GetChannel() const override { return nullptr; }
  bool IsLinkUp() const override { return !ports_.empty(); }
  bool IsPointToPoint() const override { return false; }

 private:
  bool FromPort(ns3::Ptr<ns3::NetDevice>, ns3::Ptr<const ns3::Packet> packet, std::uint16_t protocol,
                const ns3::Address& from, const ns3::Address& to, ns3::NetDevice::PacketType) {
    const ns3::Ptr<ns3::Packet> frame = packet->Copy();
    ns3::EthernetHeader header;
    header.SetSource(ns3::Mac48Address::ConvertFrom(from));
    header.SetDestination(ns3::Mac48Address::ConvertFrom(to));
    header.SetLengthType(protocol);
    frame->AddHeader(header);
    ReceiveFrame(frame);
    return true;
  }
  void DoDispose() override {
    ports_.clear();
    FrameDevice::DoDispose();
  }

  std::vector<ns3::Ptr<ns3::foreflow::FrameDevice>> ports_;
  std::vector<std::uint8_t> bytes_;  // of a frame
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_BUNDLE_H_
