// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-flow-size-application.h"

#include "foreflow-compat.h"

#include "models/base/refusal.h"

#include "ns3/boolean.h"
#include "ns3/double.h"
#include "ns3/log.h"
#include "ns3/packet.h"
#include "ns3/pointer.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowFlowSizeApplication");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(FlowSizeApplication);

Ptr<EmpiricalRandomVariable>
LoadFlowSizes(const std::string& file)
{
    std::ifstream in(file);
    if (!in)
    {
        throw ::foreflow::Refusal(file + ": cannot be opened, expected a flow-size distribution");
    }
    auto sizes = CreateObject<EmpiricalRandomVariable>();
    sizes->SetAttribute("Interpolate", BooleanValue(true));
    double lastBytes = 0;
    double lastProbability = -1;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number)
    {
        std::istringstream words(line.substr(0, line.find('#')));
        double bytes;
        double probability;
        std::string rest;
        if (!(words >> rest))
        {
            continue; // empty, or a comment alone
        }
        words.clear();
        words.str(line.substr(0, line.find('#')));
        if (!(words >> bytes >> probability) || (words >> rest) || bytes < lastBytes ||
            probability < std::max(lastProbability, 0.0) || probability > 1)
        {
            throw ::foreflow::Refusal(file + " line " + std::to_string(number),
                                      "the entry",
                                      "\"" + line + "\"",
                                      "BYTES PROBABILITY, both rising, probability up to 1");
        }
        sizes->CDF(bytes, probability);
        lastBytes = bytes;
        lastProbability = probability;
    }
    if (lastProbability != 1)
    {
        throw ::foreflow::Refusal(file,
                                  "the last probability",
                                  lastProbability < 0 ? "missing" : std::to_string(lastProbability),
                                  "1");
    }
    return sizes;
}

TypeId
FlowSizeApplication::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::FlowSizeApplication")
            .SetParent<Application>()
            .SetGroupName("Foreflow")
            .AddConstructor<FlowSizeApplication>()
            .AddAttribute("Remote",
                          "The address of the sink.",
                          AddressValue(),
                          MakeAddressAccessor(&FlowSizeApplication::m_remote),
                          MakeAddressChecker())
            .AddAttribute("Protocol",
                          "The TypeId of the socket factory.",
                          TypeIdValue(TypeId::LookupByName("ns3::TcpSocketFactory")),
                          MakeTypeIdAccessor(&FlowSizeApplication::m_protocol),
                          MakeTypeIdChecker())
            .AddAttribute(
                "Mode",
                "What starts the next flow: the end of one, or the start of one.",
                EnumValue(FlowSizeApplication::CLOSED),
                MakeEnumAccessorCompat<FlowSizeApplication::Mode>(&FlowSizeApplication::m_mode, 0),
                MakeEnumChecker(
                    FlowSizeApplication::CLOSED, "Closed", FlowSizeApplication::OPEN, "Open"))
            .AddAttribute("Concurrency",
                          "Flows at once, in closed loop.",
                          UintegerValue(1),
                          MakeUintegerAccessor(&FlowSizeApplication::m_concurrency),
                          MakeUintegerChecker<uint32_t>(1))
            .AddAttribute("MaxFlows",
                          "Flows in all; 0 means no bound.",
                          UintegerValue(0),
                          MakeUintegerAccessor(&FlowSizeApplication::m_maxFlows),
                          MakeUintegerChecker<uint64_t>())
            .AddAttribute("FlowSize",
                          "Size of a flow, in bytes; at least 1 is sent.",
                          StringValue("ns3::ConstantRandomVariable[Constant=10000]"),
                          MakePointerAccessor(&FlowSizeApplication::m_flowSize),
                          MakePointerChecker<RandomVariableStream>())
            .AddAttribute(
                "Gap",
                "In seconds: closed loop, from the end of a flow to the start of the next; "
                "open loop, from start to start.",
                StringValue("ns3::ConstantRandomVariable[Constant=0]"),
                MakePointerAccessor(&FlowSizeApplication::m_gap),
                MakePointerChecker<RandomVariableStream>())
            .AddTraceSource("FlowDone",
                            "All bytes of a flow are acknowledged.",
                            MakeTraceSourceAccessor(&FlowSizeApplication::m_doneTrace),
                            "ns3::foreflow::FlowSizeApplication::FlowTracedCallback");
    return tid;
}

FlowSizeApplication::FlowSizeApplication() = default;
FlowSizeApplication::~FlowSizeApplication() = default;

void
FlowSizeApplication::DoDispose()
{
    m_bySocket.clear();
    m_flows.clear();
    m_flowSize = nullptr;
    m_gap = nullptr;
    Application::DoDispose();
}

int64_t
FlowSizeApplication::AssignStreams(int64_t stream)
{
    m_flowSize->SetStream(stream);
    m_gap->SetStream(stream + 1);
    return 2;
}

uint64_t
FlowSizeApplication::GetNDone() const
{
    return m_done;
}

uint64_t
FlowSizeApplication::GetNFailed() const
{
    return m_failed;
}

void
FlowSizeApplication::StartApplication()
{
    m_running = true;
    const uint32_t starts = m_mode == CLOSED ? m_concurrency : 1;
    for (uint32_t i = 0; i < starts; ++i)
    {
        ScheduleStart();
    }
}

void
FlowSizeApplication::StopApplication()
{
    m_running = false;
    for (auto& start : m_starts)
    {
        start.second.Cancel();
    }
    m_starts.clear();
    for (auto& flow : m_flows)
    {
        flow.second.socket->Close();
    }
}

void
FlowSizeApplication::ScheduleStart()
{
    if (!m_running || (m_maxFlows != 0 && m_scheduled == m_maxFlows))
    {
        return;
    }
    m_starts[m_scheduled++] = Simulator::Schedule(
        Seconds(std::max(m_gap->GetValue(), 0.0)), &FlowSizeApplication::StartFlow, this);
}

void
FlowSizeApplication::StartFlow()
{
    Flow flow;
    flow.record.flow = m_started++;
    m_starts.erase(flow.record.flow);
    flow.record.bytes = static_cast<uint64_t>(std::max(std::llround(m_flowSize->GetValue()), 1LL));
    flow.record.start = Simulator::Now();
    flow.unsent = flow.record.bytes;
    flow.socket = Socket::CreateSocket(GetNode(), m_protocol);
    Ptr<Socket> socket = flow.socket;
    m_bySocket[socket] = flow.record.flow;
    m_flows[flow.record.flow] = flow;
    if (m_mode == OPEN)
    {
        ScheduleStart();
    }
    socket->SetConnectCallback(MakeCallback(&FlowSizeApplication::Connected, this),
                               MakeCallback(&FlowSizeApplication::Failed, this));
    socket->SetCloseCallbacks(MakeNullCallback<void, Ptr<Socket>>(),
                              MakeCallback(&FlowSizeApplication::Failed, this));
    if (socket->Bind() != 0 || socket->Connect(m_remote) != 0)
    {
        Failed(socket);
        return;
    }
    socket->ShutdownRecv();
}

void
FlowSizeApplication::Connected(Ptr<Socket> socket)
{
    const auto found = m_bySocket.find(socket);
    if (found == m_bySocket.end())
    {
        return;
    }
    m_flows[found->second].capacity = socket->GetTxAvailable();
    socket->SetSendCallback(MakeCallback(&FlowSizeApplication::Proceed, this));
    Proceed(socket, socket->GetTxAvailable());
}

void
FlowSizeApplication::Proceed(Ptr<Socket> socket, uint32_t)
{
    const auto found = m_bySocket.find(socket);
    if (found == m_bySocket.end())
    {
        return;
    }
    Flow& flow = m_flows[found->second];
    const bool wasOpen = flow.unsent > 0;
    while (flow.unsent > 0)
    {
        const auto size =
            static_cast<uint32_t>(std::min<uint64_t>(flow.unsent, socket->GetTxAvailable()));
        if (size == 0 || socket->Send(Create<Packet>(size)) < 0)
        {
            return;
        }
        flow.unsent -= size;
    }
    if (wasOpen)
    {
        // The receiver answers the end of the stream at once: no delayed acknowledgement counts as
        // transfer.
        socket->Close();
    }
    if (socket->GetTxAvailable() == flow.capacity)
    {
        flow.record.end = Simulator::Now();
        ++m_done;
        m_doneTrace(flow.record);
        Remove(socket);
    }
}

void
FlowSizeApplication::Failed(Ptr<Socket> socket)
{
    if (m_bySocket.count(socket) != 0)
    {
        ++m_failed;
        Remove(socket);
    }
}

void
FlowSizeApplication::Remove(Ptr<Socket> socket)
{
    socket->SetSendCallback(MakeNullCallback<void, Ptr<Socket>, uint32_t>());
    const auto found = m_bySocket.find(socket);
    m_flows.erase(found->second);
    m_bySocket.erase(found);
    if (m_mode == CLOSED)
    {
        ScheduleStart();
    }
}

} // namespace foreflow
} // namespace ns3
