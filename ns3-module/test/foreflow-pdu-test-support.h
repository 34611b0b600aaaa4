// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_TEST_SUPPORT_H
#define FOREFLOW_PDU_TEST_SUPPORT_H

#include "foreflow-test-support.h"

#include "ns3/foreflow-impaired-channel.h"
#include "ns3/foreflow-packet-dynamics-helper.h"
#include "ns3/simulator.h"
#include "ns3/tcp-socket-factory.h"
#include "ns3/test.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tests
{

using namespace ns3;
using ::foreflow::Micros;
using ::foreflow::Millis;

/**
 * Prices that a hand can compute with: 100 cycles to split, 200 for a cipher, 300 to reassemble and
 * 50 of a timer at 1 GHz, a bus that carries a byte a nanosecond, 500 ns to fetch, 300 to post.
 *
 * @param peers of the unit
 * @return the configuration
 */
inline ff::PduConfig
UnitConfig(std::size_t peers = 1)
{
    ff::PduConfig config;
    config.unit.peers = peers;
    config.unit.held_packets = 512;
    config.unit.reassembler.held = 1024;
    config.profiles.device.name = "device";
    config.profiles.device.clock_hz = 1'000'000'000;
    config.profiles.device.unit.is_known = true;
    config.profiles.device.unit.base_millicycles = {100'000, 200'000, 300'000, 50'000};
    config.profiles.bus = RoundPrices().bus;
    return config;
}

/**
 * A cable that is not a good one.
 *
 * @return loses in bursts, reorders, repeats and changes
 */
inline ff::impair::ImpairmentConfig
RoughWay()
{
    ff::impair::ImpairmentConfig config;
    ff::impair::PathConfig& path = config.paths[0];
    path.burst.to_bad = 0.01;
    path.burst.to_good = 0.4;
    path.loss = 0.005;
    path.delay = Millis(1);
    path.jitter = Micros(40);
    path.late = 0.02;
    path.late_least = Micros(100);
    path.late_most = Micros(900);
    path.duplicate = 0.01;
    path.duplicate_after = Micros(5);
    path.corrupt = 0.01;
    return config;
}

/**
 * Two hosts with units and VMs, and one or more cables between them.
 */
class UnitPair
{
  public:
    /**
     * @param config of both units
     * @param guests of each host
     * @param delays of the cables
     * @param rate of the ports
     * @param isTold the hosts are told keys; else they may agree on some
     */
    explicit UnitPair(const ff::PduConfig& config,
                      uint32_t guests = 1,
                      const std::vector<Time>& delays = {MicroSeconds(5)},
                      const char* rate = "1Gb/s",
                      bool isTold = true)
    {
        nodes.Create(2);
        ff::EthernetHelper ethernet;
        ethernet.SetDeviceAttribute("DataRate", DataRateValue(DataRate(rate)));
        std::array<NetDeviceContainer, 2> ports;
        for (const Time& delay : delays)
        {
            auto cable = CreateObject<ff::ImpairedChannel>();
            cable->SetAttribute("Delay", TimeValue(delay));
            for (uint32_t i = 0; i < 2; ++i)
            {
                const Ptr<ff::EthernetDevice> port = ethernet.InstallPort(nodes.Get(i));
                port->Attach(cable);
                ports[i].Add(port);
            }
            cables.push_back(cable);
        }
        ff::PacketDynamicsHelper helper;
        helper.SetConfig(config);
        helper.SetChannelAttribute("Delay", TimeValue(NanoSeconds(100)));
        for (uint32_t i = 0; i < 2; ++i)
        {
            vms[i].Create(guests);
            hosts[i] =
                helper.Install(nodes.Get(i), vms[i], ports[i], i == 0 ? "192.0.2.1" : "192.0.2.2");
        }
        if (isTold)
        {
            ff::PacketDynamicsHelper::Connect(hosts[0], hosts[1], 7);
        }
        else
        {
            ff::PacketDynamicsHelper::Join(hosts[0], hosts[1]);
        }
    }

    /**
     * Gives the VMs a stack and addresses: 10.0.0.1 on, of the second host 10.0.0.101 on.
     */
    void
    InstallStacks()
    {
        for (uint32_t i = 0; i < 2; ++i)
        {
            addresses[i] = ff::OffloadHostHelper::InstallStack(vms[i],
                                                               hosts[i].guests,
                                                               "10.0.0.0",
                                                               "255.255.255.0",
                                                               i == 0 ? "0.0.0.1" : "0.0.0.101");
        }
        InternetStackHelper().AssignStreams(NodeContainer(vms[0], vms[1]), 1);
    }

    /**
     * @param host whose
     * @param vm from 0
     * @return its device
     */
    Ptr<ff::PduGuestDriver>
    Guest(std::size_t host, uint32_t vm = 0) const
    {
        return DynamicCast<ff::PduGuestDriver>(hosts[host].guests.Get(vm));
    }

    /**
     * @param host whose
     * @return counts of its unit
     */
    const ff::PacketDynamicsUnit::Statistics&
    Statistics(std::size_t host) const
    {
        return hosts[host].unit->GetStatistics();
    }

    NodeContainer nodes;                             //!< the hosts
    std::array<NodeContainer, 2> vms;                //!< by host
    std::array<ff::PduHost, 2> hosts;                //!< their devices
    std::vector<Ptr<ff::ImpairedChannel>> cables;    //!< between them
    std::array<Ipv4InterfaceContainer, 2> addresses; //!< of the VMs, by host
};

/**
 * What all cases share.
 */
class PduTestCase : public TestCase
{
  protected:
    using TestCase::TestCase;

    /**
     * @param pair that has run
     */
    void
    ExpectBalance(const UnitPair& pair)
    {
        for (const ff::PduHost& host : pair.hosts)
        {
            NS_TEST_EXPECT_MSG_EQ(host.unit->IsBalanced(), true, "nothing is lost uncounted");
        }
    }

    void
    DoTeardown() override
    {
        Simulator::Destroy();
    }
};

/**
 * Bytes over a TCP connection, checked one by one.
 */
class CheckedTransfer
{
  public:
    /**
     * @param from client's node
     * @param to server's node
     * @param address of the server
     * @param port of the server
     * @param bytes to be sent
     */
    CheckedTransfer(
        Ptr<Node> from, Ptr<Node> to, Ipv4Address address, uint16_t port, uint32_t bytes)
        : m_bytes(bytes)
        , m_port(port)
    {
        m_listener = Socket::CreateSocket(to, TcpSocketFactory::GetTypeId());
        m_listener->Bind(InetSocketAddress(Ipv4Address::GetAny(), port));
        m_listener->Listen();
        m_listener->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address&>(),
                                      MakeCallback(&CheckedTransfer::Accepted, this));
        m_client = Socket::CreateSocket(from, TcpSocketFactory::GetTypeId());
        m_client->SetConnectCallback(MakeCallback(&CheckedTransfer::Connected, this),
                                     MakeNullCallback<void, Ptr<Socket>>());
        m_client->SetSendCallback(MakeCallback(&CheckedTransfer::Writable, this));
        Simulator::Schedule(MilliSeconds(1), [this, address] {
            m_client->Connect(InetSocketAddress(address, m_port));
        });
    }

    uint32_t received{0}; //!< bytes
    uint32_t wrong{0};    //!< of them
    Time done;            //!< when the last one came

  private:
    /**
     * @param place in the stream
     * @return the byte there
     */
    uint8_t
    ByteAt(uint32_t place) const
    {
        return static_cast<uint8_t>((place * 2654435761u + m_port) >> 13);
    }

    /**
     * @param socket of the connection
     */
    void
    Accepted(Ptr<Socket> socket, const Address&)
    {
        m_server = socket;
        socket->SetRecvCallback(MakeCallback(&CheckedTransfer::Readable, this));
    }

    /**
     * @param socket that is connected
     */
    void
    Connected(Ptr<Socket> socket)
    {
        Writable(socket, socket->GetTxAvailable());
    }

    /**
     * @param socket that has room
     */
    void
    Writable(Ptr<Socket> socket, uint32_t)
    {
        while (m_sent < m_bytes && socket->GetTxAvailable() > 0)
        {
            const uint32_t size =
                std::min({m_bytes - m_sent, socket->GetTxAvailable(), uint32_t{1000}});
            std::vector<uint8_t> bytes(size);
            for (uint32_t i = 0; i < size; ++i)
            {
                bytes[i] = ByteAt(m_sent + i);
            }
            if (socket->Send(Create<Packet>(bytes.data(), size)) <= 0)
            {
                return;
            }
            m_sent += size;
        }
    }

    /**
     * @param socket with bytes to read
     */
    void
    Readable(Ptr<Socket> socket)
    {
        while (Ptr<Packet> packet = socket->Recv())
        {
            if (packet->GetSize() == 0)
            {
                return;
            }
            std::vector<uint8_t> bytes(packet->GetSize());
            packet->CopyData(bytes.data(), packet->GetSize());
            for (const uint8_t byte : bytes)
            {
                wrong += byte == ByteAt(received++) ? 0 : 1;
            }
            done = Simulator::Now();
        }
    }

    uint32_t m_bytes;       //!< to be sent
    uint16_t m_port;        //!< of the server
    uint32_t m_sent{0};     //!< bytes given to the socket
    Ptr<Socket> m_listener; //!< of the server
    Ptr<Socket> m_client;   //!< sends
    Ptr<Socket> m_server;   //!< receives
};

} // namespace tests

#endif // FOREFLOW_PDU_TEST_SUPPORT_H
