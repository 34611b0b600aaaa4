// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-control-application.h"

#include "ns3/abort.h"
#include "ns3/inet-socket-address.h"
#include "ns3/log.h"
#include "ns3/packet.h"
#include "ns3/simulator.h"
#include "ns3/udp-socket-factory.h"

#include <algorithm>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowControlApplication");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(ControlEnd);
NS_OBJECT_ENSURE_REGISTERED(ControlAgent);
NS_OBJECT_ENSURE_REGISTERED(ControlController);

TypeId
ControlEnd::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::ControlEnd")
                            .SetParent<Application>()
                            .SetGroupName("Foreflow")
                            .AddAttribute("Local",
                                          "The address to bind to (IPv4 and port).",
                                          AddressValue(),
                                          MakeAddressAccessor(&ControlEnd::m_local),
                                          MakeAddressChecker());
    return tid;
}

const ControlEnd::Traffic&
ControlEnd::GetSent() const
{
    return m_sent;
}

const ControlEnd::Traffic&
ControlEnd::GetReceived() const
{
    return m_received;
}

bool
ControlEnd::IsRunning() const
{
    return m_socket != nullptr;
}

void
ControlEnd::DoDispose()
{
    m_tick.Cancel();
    m_socket = nullptr;
    Application::DoDispose();
}

void
ControlEnd::StartApplication()
{
    m_socket = Socket::CreateSocket(GetNode(), UdpSocketFactory::GetTypeId());
    NS_ABORT_MSG_IF(m_socket->Bind(m_local) != 0, "cannot bind the control protocol's address");
    m_socket->SetRecvCallback(MakeCallback(&ControlEnd::HandleRead, this));
    Serve();
}

void
ControlEnd::StopApplication()
{
    m_tick.Remove();
    if (m_socket)
    {
        m_socket->Close();
        m_socket = nullptr;
    }
}

void
ControlEnd::Serve()
{
    if (!m_socket)
    {
        return;
    }
    Tick();
    m_tick.Remove(); // a cancelled event would still take the simulation to its time
    // A core that wants to be called at once is, but time goes on.
    const int64_t wait = std::max<int64_t>(1, (NextTick() - ChannelNow()).count());
    constexpr int64_t longest = 3'600'000'000'000;
    m_tick = Simulator::Schedule(
        NanoSeconds(static_cast<uint64_t>(std::min(wait, longest))), &ControlEnd::Serve, this);
}

Nanos
ControlEnd::ChannelNow()
{
    return Nanos(Simulator::Now().GetNanoSeconds() + 1);
}

crypto::ChannelAddress
ControlEnd::ToChannel(const Address& address)
{
    const InetSocketAddress inet = InetSocketAddress::ConvertFrom(address);
    crypto::ChannelAddress channel;
    inet.GetIpv4().Serialize(&channel.host[12]);
    channel.host[10] = channel.host[11] = 0xff;
    channel.port = inet.GetPort();
    return channel;
}

control::SendPacket
ControlEnd::Sender()
{
    return [this](const crypto::ChannelAddress& to, BytesView packet) {
        if (!m_socket)
        {
            return;
        }
        ++m_sent.packets;
        m_sent.bytes += packet.size;
        m_socket->SendTo(Create<Packet>(packet.data, packet.size),
                         0,
                         InetSocketAddress(Ipv4Address::Deserialize(&to.host[12]), to.port));
    };
}

void
ControlEnd::HandleRead(Ptr<Socket> socket)
{
    Address from;
    while (Ptr<Packet> packet = socket->RecvFrom(from))
    {
        std::vector<uint8_t> bytes(packet->GetSize());
        packet->CopyData(bytes.data(), packet->GetSize());
        ++m_received.packets;
        m_received.bytes += bytes.size();
        Input({bytes.data(), bytes.size()}, ToChannel(from));
    }
    Serve();
}

TypeId
ControlAgent::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::ControlAgent")
                            .SetParent<ControlEnd>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<ControlAgent>();
    return tid;
}

void
ControlAgent::SetUp(const crypto::ChannelConfig& channel,
                    const std::array<uint8_t, 32>& seed,
                    const control::AgentConfig& config,
                    const std::vector<rules::Rule>& initial,
                    control::ControlledDevice& device)
{
    m_agent = std::make_unique<control::SecureAgent>(channel, seed, config, initial, device);
}

const control::SecureAgent&
ControlAgent::GetAgent() const
{
    return *m_agent;
}

void
ControlAgent::Input(::foreflow::MutableBytes packet, const crypto::ChannelAddress& from)
{
    m_agent->Input(packet, from, ChannelNow(), Sender());
}

void
ControlAgent::Tick()
{
    NS_ABORT_MSG_IF(!m_agent, "SetUp comes before the start");
    m_agent->Tick(ChannelNow(), Sender());
}

Nanos
ControlAgent::NextTick() const
{
    return m_agent->NextTick();
}

TypeId
ControlController::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::ControlController")
                            .SetParent<ControlEnd>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<ControlController>()
                            .AddAttribute("Remote",
                                          "The device's address (IPv4 and port).",
                                          AddressValue(),
                                          MakeAddressAccessor(&ControlController::m_remote),
                                          MakeAddressChecker());
    return tid;
}

void
ControlController::SetUp(const crypto::ChannelConfig& channel,
                         const std::array<uint8_t, 32>& seed,
                         const control::ControllerConfig& config)
{
    m_controller = std::make_unique<control::SecureController>(
        channel, seed, config, static_cast<uint64_t>(ChannelNow().count()));
    if (IsRunning())
    {
        Connect();
    }
}

void
ControlController::Connect()
{
    m_controller->Connect(ToChannel(m_remote), ChannelNow(), Sender());
    Serve();
}

void
ControlController::StartApplication()
{
    NS_ABORT_MSG_IF(!m_controller, "SetUp comes before the start");
    ControlEnd::StartApplication();
    Connect();
}

void
ControlController::Change(const rules::RuleChange& change)
{
    m_controller->controller().Change(change);
    Serve();
}

void
ControlController::Replace(const std::vector<rules::Rule>& rules)
{
    m_controller->controller().Replace(rules);
    Serve();
}

control::Controller&
ControlController::GetController()
{
    return m_controller->controller();
}

void
ControlController::Input(::foreflow::MutableBytes packet, const crypto::ChannelAddress& from)
{
    m_controller->Input(packet, from, ChannelNow(), Sender());
}

void
ControlController::Tick()
{
    m_controller->Tick(ChannelNow(), Sender());
}

Nanos
ControlController::NextTick() const
{
    return m_controller->NextTick();
}

} // namespace foreflow
} // namespace ns3
