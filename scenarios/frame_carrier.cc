// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/frame_carrier.h"

#include <cstdint>

#include "ns3/foreflow-ethernet-channel.h"
#include "ns3/foreflow-frame-device.h"
#include "ns3/foreflow-wire-time.h"
#include "ns3/node.h"
#include "ns3/object-factory.h"
#include "ns3/simulator.h"
#include "scenarios/simulation.h"

namespace foreflow::scenarios {
namespace {

namespace ff = ns3::foreflow;

// An end of the cable, which frames of captures leave and reach as they are: of any length, with any
// addresses.
class CarrierEnd final : public ff::FrameDevice {
 public:
  static ns3::TypeId GetTypeId() {
    static ns3::TypeId tid = ns3::TypeId("foreflow::scenarios::CarrierEnd").SetParent<ff::FrameDevice>();
    return tid;
  }
  void Attach(ns3::Ptr<ff::EthernetChannel> cable) {
    cable_ = cable;
    cable->Attach(this);
  }
  // What arrives here goes there.
  void SetReplay(pcap::ShardReplay& replay) { replay_ = &replay; }

  void ReceiveFrame(ns3::Ptr<ns3::Packet> frame) override {
    bytes_.resize(frame->GetSize());
    frame->CopyData(bytes_.data(), frame->GetSize());
    replay_->Input({bytes_.data(), bytes_.size()});
  }
  bool TransmitFrame(ns3::Ptr<ns3::Packet> frame) override {
    cable_->Transmit(frame, this, ns3::Time(0));
    return true;
  }
  ns3::Ptr<ns3::Channel> GetChannel() const override { return cable_; }
  bool IsLinkUp() const override { return true; }
  bool IsPointToPoint() const override { return true; }

 private:
  void DoDispose() override {
    cable_ = nullptr;
    FrameDevice::DoDispose();
  }

  ns3::Ptr<ff::EthernetChannel> cable_;
  pcap::ShardReplay* replay_ = nullptr;
  std::vector<std::uint8_t> bytes_;
};

// Sends the arrivals, each at its time, with one event pending.
class Sender {
 public:
  Sender(const std::vector<path::Arrival>& arrivals, std::vector<Nanos> times, ns3::Ptr<CarrierEnd> end)
      : arrivals_(arrivals), times_(std::move(times)), end_(end) {}

  void ScheduleNext() {
    if (next_ == arrivals_.size()) return;
    const Nanos time = times_.empty() ? arrivals_[next_].time : times_[next_];
    ns3::Simulator::ScheduleWithContext(end_->GetNode()->GetId(), ff::DelayUntil(ToPicos(time)),
                                        &Sender::Step, this);
  }

 private:
  void Step() {
    const BytesView frame = arrivals_[next_++].captured;
    end_->TransmitFrame(ns3::Create<ns3::Packet>(frame.data, static_cast<std::uint32_t>(frame.size)));
    ScheduleNext();
  }

  const std::vector<path::Arrival>& arrivals_;
  std::vector<Nanos> times_;
  ns3::Ptr<CarrierEnd> end_;
  std::size_t next_ = 0;
};

}  // namespace

void CarryOverEthernet(pcap::ShardReplay& replay, std::vector<std::string>& notes) {
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);
  const auto cable = ns3::CreateObject<ff::EthernetChannel>();
  const auto make_end = [&cable] {
    const auto end = ns3::CreateObject<CarrierEnd>();
    ns3::CreateObject<ns3::Node>()->AddDevice(end);
    end->Attach(cable);
    return end;
  };
  const auto from = make_end();
  const auto to = make_end();
  to->SetReplay(replay);
  Sender sender(replay.arrivals(), SimulatorTimes(replay.arrivals(), notes), from);
  sender.ScheduleNext();
  ns3::Simulator::Run();
  ns3::Simulator::Destroy();
}

}  // namespace foreflow::scenarios
