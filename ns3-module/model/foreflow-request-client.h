// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_REQUEST_CLIENT_H
#define FOREFLOW_REQUEST_CLIENT_H

#include "foreflow-request-stream.h"

#include "ns3/address.h"
#include "ns3/application.h"
#include "ns3/event-id.h"
#include "ns3/nstime.h"
#include "ns3/random-variable-stream.h"
#include "ns3/traced-callback.h"
#include "ns3/type-id.h"

#include <memory>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A request that was answered.
 */
struct RequestRecord
{
    uint64_t request{0};       //!< number, from 0
    uint32_t requestBytes{0};  //!< with the message header
    uint32_t responseBytes{0}; //!< with the message header
    Time sent;                 //!< the request is handed to the socket
    Time done;                 //!< the response's last byte is read
};

/**
 * @ingroup foreflow
 * Sends one request at a time to a RequestServer, over one connection; thinks after each response.
 */
class RequestClient : public Application
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    RequestClient();
    ~RequestClient() override;

    /**
     * Assigns fixed streams to the random variables in use.
     *
     * @param stream the first one
     * @return how many were assigned
     */
    int64_t
    AssignStreams(int64_t stream);

    /**
     * @return requests answered so far
     */
    uint64_t
    GetNDone() const;

    /**
     * TracedCallback signature of RequestDone.
     *
     * @param record of a request that was answered
     */
    typedef void (*RequestTracedCallback)(const RequestRecord& record);

  protected:
    void
    DoDispose() override;

  private:
    void
    StartApplication() override;
    void
    StopApplication() override;

    /**
     * @param socket that is connected
     */
    void
    Connected(Ptr<Socket> socket);

    /**
     * Sends a request, if any are left.
     */
    void
    Ask();

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
     * @param stream to the server
     * @param response whose last byte has arrived
     */
    void
    Answered(RequestStream& stream, const MessageHeader& response);

    Address m_remote;                         //!< of the server
    TypeId m_protocol;                        //!< of the socket
    uint64_t m_maxRequests{0};                //!< 0: no bound
    Ptr<RandomVariableStream> m_requestSize;  //!< bytes
    Ptr<RandomVariableStream> m_responseSize; //!< bytes
    Ptr<RandomVariableStream> m_thinkTime;    //!< seconds

    Ptr<Socket> m_socket;                    //!< to the server
    std::unique_ptr<RequestStream> m_stream; //!< over it
    RequestRecord m_current;                 //!< the request under way
    uint64_t m_done{0};                      //!< requests answered
    EventId m_ask;                           //!< the next request

    TracedCallback<const RequestRecord&> m_doneTrace; //!< a request was answered
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_REQUEST_CLIENT_H
