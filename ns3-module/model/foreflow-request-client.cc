// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-request-client.h"

#include "ns3/abort.h"
#include "ns3/log.h"
#include "ns3/pointer.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <cmath>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowRequestClient");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(RequestClient);

namespace
{

/**
 * @param size a drawn one
 * @return the size of a message, in bytes
 */
uint32_t
MessageBytes(double size)
{
    const double least = MessageHeader::BYTES;
    return static_cast<uint32_t>(std::lround(std::min(std::max(size, least), 1e9)));
}

} // namespace

TypeId
RequestClient::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::RequestClient")
            .SetParent<Application>()
            .SetGroupName("Foreflow")
            .AddConstructor<RequestClient>()
            .AddAttribute("Remote",
                          "The address of the server.",
                          AddressValue(),
                          MakeAddressAccessor(&RequestClient::m_remote),
                          MakeAddressChecker())
            .AddAttribute("Protocol",
                          "The TypeId of the socket factory.",
                          TypeIdValue(TypeId::LookupByName("ns3::TcpSocketFactory")),
                          MakeTypeIdAccessor(&RequestClient::m_protocol),
                          MakeTypeIdChecker())
            .AddAttribute("MaxRequests",
                          "Requests in all; 0 means no bound.",
                          UintegerValue(0),
                          MakeUintegerAccessor(&RequestClient::m_maxRequests),
                          MakeUintegerChecker<uint64_t>())
            .AddAttribute("RequestSize",
                          "Size of a request, in bytes; at least the 16 of the message header.",
                          StringValue("ns3::ConstantRandomVariable[Constant=100]"),
                          MakePointerAccessor(&RequestClient::m_requestSize),
                          MakePointerChecker<RandomVariableStream>())
            .AddAttribute("ResponseSize",
                          "Size of a response, in bytes; at least the 16 of the message header.",
                          StringValue("ns3::ConstantRandomVariable[Constant=1000]"),
                          MakePointerAccessor(&RequestClient::m_responseSize),
                          MakePointerChecker<RandomVariableStream>())
            .AddAttribute("ThinkTime",
                          "In seconds, from a response to the next request.",
                          StringValue("ns3::ConstantRandomVariable[Constant=0]"),
                          MakePointerAccessor(&RequestClient::m_thinkTime),
                          MakePointerChecker<RandomVariableStream>())
            .AddTraceSource("RequestDone",
                            "The last byte of a response was read.",
                            MakeTraceSourceAccessor(&RequestClient::m_doneTrace),
                            "ns3::foreflow::RequestClient::RequestTracedCallback");
    return tid;
}

RequestClient::RequestClient() = default;
RequestClient::~RequestClient() = default;

void
RequestClient::DoDispose()
{
    m_stream.reset();
    m_socket = nullptr;
    m_requestSize = nullptr;
    m_responseSize = nullptr;
    m_thinkTime = nullptr;
    Application::DoDispose();
}

int64_t
RequestClient::AssignStreams(int64_t stream)
{
    m_requestSize->SetStream(stream);
    m_responseSize->SetStream(stream + 1);
    m_thinkTime->SetStream(stream + 2);
    return 3;
}

uint64_t
RequestClient::GetNDone() const
{
    return m_done;
}

void
RequestClient::StartApplication()
{
    m_socket = Socket::CreateSocket(GetNode(), m_protocol);
    m_socket->SetConnectCallback(MakeCallback(&RequestClient::Connected, this),
                                 MakeNullCallback<void, Ptr<Socket>>());
    NS_ABORT_MSG_IF(m_socket->Bind() != 0, "cannot bind the client's socket");
    m_socket->Connect(m_remote);
}

void
RequestClient::StopApplication()
{
    m_ask.Cancel();
    if (m_socket)
    {
        m_socket->Close();
    }
}

void
RequestClient::Connected(Ptr<Socket> socket)
{
    m_stream =
        std::make_unique<RequestStream>(socket, MakeCallback(&RequestClient::Answered, this));
    socket->SetRecvCallback(MakeCallback(&RequestClient::HandleRead, this));
    socket->SetSendCallback(MakeCallback(&RequestClient::HandleSend, this));
    Ask();
}

void
RequestClient::Ask()
{
    if (m_maxRequests != 0 && m_done == m_maxRequests)
    {
        m_socket->Close();
        return;
    }
    m_current.request = m_done;
    m_current.requestBytes = MessageBytes(m_requestSize->GetValue());
    m_current.responseBytes = MessageBytes(m_responseSize->GetValue());
    m_current.sent = Simulator::Now();
    MessageHeader header;
    header.number = m_current.request;
    header.bytes = m_current.requestBytes;
    header.wantedBytes = m_current.responseBytes;
    m_stream->Write(header);
}

void
RequestClient::HandleRead(Ptr<Socket>)
{
    m_stream->Read();
}

void
RequestClient::HandleSend(Ptr<Socket>, uint32_t)
{
    m_stream->Flush();
}

void
RequestClient::Answered(RequestStream&, const MessageHeader& response)
{
    if (response.number != m_current.request)
    {
        return; // not an answer to what was asked
    }
    m_current.done = Simulator::Now();
    ++m_done;
    m_doneTrace(m_current);
    m_ask = Simulator::Schedule(
        Seconds(std::max(m_thinkTime->GetValue(), 0.0)), &RequestClient::Ask, this);
}

} // namespace foreflow
} // namespace ns3
