// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-request-server.h"

#include "ns3/abort.h"
#include "ns3/log.h"

#include <algorithm>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowRequestServer");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(RequestServer);

TypeId
RequestServer::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::RequestServer")
            .SetParent<Application>()
            .SetGroupName("Foreflow")
            .AddConstructor<RequestServer>()
            .AddAttribute("Local",
                          "The address to listen on.",
                          AddressValue(),
                          MakeAddressAccessor(&RequestServer::m_local),
                          MakeAddressChecker())
            .AddAttribute("Protocol",
                          "The TypeId of the socket factory.",
                          TypeIdValue(TypeId::LookupByName("ns3::TcpSocketFactory")),
                          MakeTypeIdAccessor(&RequestServer::m_protocol),
                          MakeTypeIdChecker());
    return tid;
}

RequestServer::RequestServer() = default;
RequestServer::~RequestServer() = default;

void
RequestServer::DoDispose()
{
    m_listener = nullptr;
    m_accepted.clear();
    m_streams.clear();
    Application::DoDispose();
}

uint64_t
RequestServer::GetNAnswered() const
{
    return m_answered;
}

void
RequestServer::StartApplication()
{
    m_listener = Socket::CreateSocket(GetNode(), m_protocol);
    NS_ABORT_MSG_IF(m_listener->Bind(m_local) != 0, "cannot bind the server's address");
    m_listener->Listen();
    m_listener->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address&>(),
                                  MakeCallback(&RequestServer::Accepted, this));
}

void
RequestServer::StopApplication()
{
    if (m_listener)
    {
        m_listener->Close();
    }
    for (const Ptr<Socket>& socket : m_accepted)
    {
        socket->Close();
    }
}

void
RequestServer::Accepted(Ptr<Socket> socket, const Address&)
{
    m_accepted.push_back(socket);
    m_streams[socket] =
        std::make_unique<RequestStream>(socket, MakeCallback(&RequestServer::Answer, this));
    socket->SetRecvCallback(MakeCallback(&RequestServer::HandleRead, this));
    socket->SetSendCallback(MakeCallback(&RequestServer::HandleSend, this));
    socket->SetCloseCallbacks(MakeCallback(&RequestServer::HandleClose, this),
                              MakeCallback(&RequestServer::HandleClose, this));
}

void
RequestServer::HandleRead(Ptr<Socket> socket)
{
    const auto found = m_streams.find(socket);
    if (found != m_streams.end())
    {
        found->second->Read();
    }
}

void
RequestServer::HandleSend(Ptr<Socket> socket, uint32_t)
{
    const auto found = m_streams.find(socket);
    if (found != m_streams.end())
    {
        found->second->Flush();
    }
}

void
RequestServer::HandleClose(Ptr<Socket> socket)
{
    socket->Close();
    m_accepted.erase(std::remove(m_accepted.begin(), m_accepted.end(), socket), m_accepted.end());
}

void
RequestServer::Answer(RequestStream& stream, const MessageHeader& request)
{
    ++m_answered;
    MessageHeader response;
    response.number = request.number;
    response.bytes = request.wantedBytes;
    stream.Write(response);
}

} // namespace foreflow
} // namespace ns3
