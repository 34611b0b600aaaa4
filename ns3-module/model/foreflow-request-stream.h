// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_REQUEST_STREAM_H
#define FOREFLOW_REQUEST_STREAM_H

#include "ns3/callback.h"
#include "ns3/packet.h"
#include "ns3/socket.h"

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What a request or a response begins with, on the wire in network order: 16 bytes.
 */
struct MessageHeader
{
    static constexpr uint32_t BYTES = 16; //!< on the wire

    uint64_t number{0};      //!< of the request
    uint32_t bytes{BYTES};   //!< of this message, header included
    uint32_t wantedBytes{0}; //!< of the response, header included; 0 in a response
};

/**
 * @ingroup foreflow
 * Messages over one stream socket: cuts what arrives into messages, and keeps what the socket
 * cannot take yet.
 */
class RequestStream
{
  public:
    /// Told of each message whose last byte has arrived.
    using Receiver = Callback<void, RequestStream&, const MessageHeader&>;

    /**
     * @param socket that is connected
     * @param receiver of its messages
     */
    RequestStream(Ptr<Socket> socket, Receiver receiver);

    /**
     * Sends a message, its body zero-filled.
     *
     * @param header of it; bytes below the header's own count as that
     */
    void
    Write(const MessageHeader& header);

    /**
     * Hands the socket what it takes.
     */
    void
    Flush();

    /**
     * Takes what has arrived from the socket.
     */
    void
    Read();

  private:
    Ptr<Socket> m_socket;                                 //!< connected
    Receiver m_receiver;                                  //!< of messages
    std::deque<Ptr<Packet>> m_unsent;                     //!< what the socket has not taken
    std::vector<uint8_t> m_buffer;                        //!< bytes that have arrived
    std::array<uint8_t, MessageHeader::BYTES> m_header{}; //!< of the message that arrives
    uint32_t m_headerBytes{0};                            //!< of it, so far
    MessageHeader m_message;                              //!< decoded, once the header is whole
    uint64_t m_bodyLeft{0}; //!< bytes of its body that have not arrived
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_REQUEST_STREAM_H
