// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_REQUEST_SERVER_H
#define FOREFLOW_REQUEST_SERVER_H

#include "foreflow-request-stream.h"

#include "ns3/address.h"
#include "ns3/application.h"
#include "ns3/type-id.h"

#include <map>
#include <memory>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * Answers each request of a RequestClient at once, with as many bytes as it asks for.
 */
class RequestServer : public Application
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    RequestServer();
    ~RequestServer() override;

    /**
     * @return requests answered so far
     */
    uint64_t
    GetNAnswered() const;

  protected:
    void
    DoDispose() override;

  private:
    void
    StartApplication() override;
    void
    StopApplication() override;

    /**
     * @param socket of a new client
     * @param from the client's address
     */
    void
    Accepted(Ptr<Socket> socket, const Address& from);

    /**
     * @param socket on which bytes have arrived
     */
    void
    HandleRead(Ptr<Socket> socket);

    /**
     * @param socket that has room
     * @param room in bytes
     */
    void
    HandleSend(Ptr<Socket> socket, uint32_t room);

    /**
     * @param socket whose client has gone
     */
    void
    HandleClose(Ptr<Socket> socket);

    /**
     * @param stream of a client
     * @param request whose last byte has arrived
     */
    void
    Answer(RequestStream& stream, const MessageHeader& request);

    Address m_local;                                                 //!< to listen on
    TypeId m_protocol;                                               //!< of the sockets
    Ptr<Socket> m_listener;                                          //!< for new clients
    std::vector<Ptr<Socket>> m_accepted;                             //!< in order of coming
    std::map<Ptr<Socket>, std::unique_ptr<RequestStream>> m_streams; //!< to look up only
    uint64_t m_answered{0};                                          //!< requests
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_REQUEST_SERVER_H
