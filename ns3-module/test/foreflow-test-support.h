// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_TEST_SUPPORT_H
#define FOREFLOW_TEST_SUPPORT_H

#include "ns3/foreflow-ethernet-helper.h"
#include "ns3/foreflow-offload-host-helper.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/socket.h"
#include "ns3/uinteger.h"

#include <array>
#include <cstdint>
#include <vector>

namespace tests
{

namespace ff = ns3::foreflow;

/**
 * Prices that a hand can compute with: 100 cycles at 1 GHz a stage whatever its work, a bus that
 * carries a byte a nanosecond, 500 ns to fetch and 300 ns to post.
 *
 * @return the prices
 */
inline ff::OffloadProfiles
RoundPrices()
{
    ff::OffloadProfiles profiles;
    profiles.host.name = "host";
    profiles.host.clock_hz = 1'000'000'000;
    profiles.host.stage_base_millicycles.fill(100'000);
    profiles.device = profiles.host;
    profiles.device.name = "device";
    profiles.bus.name = "bus";
    profiles.bus.read_latency = ff::Nanos(500);
    profiles.bus.write_latency = ff::Nanos(300);
    profiles.bus.bandwidth = ff::BitsPerSecond(8'000'000'000);
    return profiles;
}

/**
 * @param id of the rule, and the lower the stronger
 * @param port destination port it matches; 0 matches all
 * @param verb what it says
 * @param queue that it chooses
 * @return the rule
 */
inline ff::rules::Rule
PortRule(uint32_t id, uint16_t port, ff::rules::Verb verb, uint8_t queue = ff::rules::kNoQueue)
{
    ff::rules::Rule rule;
    rule.id = id;
    rule.priority = 1000 - static_cast<int>(id);
    if (port != 0)
    {
        rule.destination_port = {port, port};
    }
    rule.action.verb = verb;
    rule.action.queue = queue;
    return rule;
}

/**
 * @param arm of the path
 * @return a configuration with round prices that forwards everything
 */
inline ff::OffloadNicConfig
Config(ff::path::Arm arm)
{
    ff::OffloadNicConfig config;
    config.path.arm = arm;
    config.path.vms = 8;
    config.path.flow_entries = 64;
    config.path.peers_per_vm = 64;
    config.path.label_pending = 256;
    config.path.rules = {PortRule(1, 0, ff::rules::Verb::kForward)};
    config.profiles = RoundPrices();
    return config;
}

/**
 * UDP frames by hand, with their arrivals.
 */
class Frames
{
  public:
    /**
     * @param vm sender, also the last byte of its addresses
     * @param to receiver, the last byte of its addresses
     * @param port destination port
     * @param bytes of the whole frame, at least 42
     * @param time of arrival
     */
    void
    Add(uint16_t vm, uint8_t to, uint16_t port, uint16_t bytes, ff::Nanos time)
    {
        std::vector<uint8_t> frame(bytes, 0);
        const auto put16 = [&frame](std::size_t at, unsigned value) {
            frame[at] = static_cast<uint8_t>(value >> 8);
            frame[at + 1] = static_cast<uint8_t>(value);
        };
        frame[0] = 2;
        frame[5] = to;
        frame[6] = 2;
        frame[11] = static_cast<uint8_t>(vm);
        put16(12, 0x0800);
        frame[14] = 0x45;
        put16(16, bytes - 14u);
        frame[22] = 64;
        frame[23] = 17;
        frame[26] = 10;
        frame[29] = static_cast<uint8_t>(vm);
        frame[30] = 10;
        frame[33] = to;
        put16(34, 40000);
        put16(36, port);
        put16(38, bytes - 34u);
        m_frames.push_back(std::move(frame));
        ff::path::Arrival arrival;
        arrival.wire_bytes = bytes;
        arrival.vm = vm;
        arrival.time = time;
        arrival.sent = time;
        m_arrivals.push_back(arrival);
    }

    /**
     * @return the arrivals; valid until the next Add
     */
    const std::vector<ff::path::Arrival>&
    Get()
    {
        for (std::size_t i = 0; i < m_frames.size(); ++i)
        {
            m_arrivals[i].captured = {m_frames[i].data(), m_frames[i].size()};
        }
        return m_arrivals;
    }

  private:
    std::vector<std::vector<uint8_t>> m_frames; //!< bytes
    std::vector<ff::path::Arrival> m_arrivals;  //!< one a frame
};

/**
 * Accepts TCP connections and counts what arrives.
 */
class CountingSink
{
  public:
    /**
     * @param node to listen on
     * @param port to listen on
     */
    void
    Listen(ns3::Ptr<ns3::Node> node, uint16_t port)
    {
        using namespace ns3;
        m_listener = Socket::CreateSocket(node, TypeId::LookupByName("ns3::TcpSocketFactory"));
        m_listener->Bind(InetSocketAddress(Ipv4Address::GetAny(), port));
        m_listener->Listen();
        m_listener->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address&>(),
                                      MakeCallback(&CountingSink::Accepted, this));
    }

    uint64_t bytes{0};       //!< that have arrived
    uint64_t connections{0}; //!< accepted
    uint64_t open{0};        //!< accepted and not closed
    uint64_t mostOpen{0};    //!< at once

  private:
    /**
     * @param socket of a new connection
     */
    void
    Accepted(ns3::Ptr<ns3::Socket> socket, const ns3::Address&)
    {
        ++connections;
        mostOpen = std::max(mostOpen, ++open);
        m_sockets.push_back(socket);
        socket->SetRecvCallback(ns3::MakeCallback(&CountingSink::Read, this));
        socket->SetCloseCallbacks(ns3::MakeCallback(&CountingSink::Closed, this),
                                  ns3::MakeCallback(&CountingSink::Closed, this));
    }

    /**
     * @param socket with bytes to read
     */
    void
    Read(ns3::Ptr<ns3::Socket> socket)
    {
        while (ns3::Ptr<ns3::Packet> packet = socket->Recv())
        {
            if (packet->GetSize() == 0)
            {
                return;
            }
            bytes += packet->GetSize();
        }
    }

    /**
     * @param socket whose peer has closed
     */
    void
    Closed(ns3::Ptr<ns3::Socket> socket)
    {
        socket->Close();
        --open;
    }

    ns3::Ptr<ns3::Socket> m_listener;             //!< for connections
    std::vector<ns3::Ptr<ns3::Socket>> m_sockets; //!< accepted
};

/**
 * Two hosts with two VMs each, joined by a cable, all in 10.0.0.0/24.
 */
struct TwoHosts
{
    /**
     * @param config of both cards
     */
    explicit TwoHosts(const ff::OffloadNicConfig& config)
    {
        nodes.Create(2);
        ff::OffloadHostHelper helper;
        helper.SetConfig(config);
        for (uint32_t i = 0; i < 2; ++i)
        {
            vms[i].Create(2);
            hosts[i] = helper.Install(nodes.Get(i), vms[i]);
            const std::array<const char*, 2> first{"0.0.0.1", "0.0.0.3"};
            addresses[i] = ff::OffloadHostHelper::InstallStack(
                vms[i], hosts[i].ports, "10.0.0.0", "255.255.255.0", first[i]);
        }
        ff::EthernetHelper().Connect(hosts[0].nic, hosts[1].nic);
    }

    ns3::NodeContainer nodes;                             //!< the hosts
    std::array<ns3::NodeContainer, 2> vms;                //!< by host
    std::array<ff::OffloadHost, 2> hosts;                 //!< their devices
    std::array<ns3::Ipv4InterfaceContainer, 2> addresses; //!< of the VMs, by host
};

} // namespace tests

#endif // FOREFLOW_TEST_SUPPORT_H
