// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-request-stream.h"

#include <algorithm>

namespace ns3
{
namespace foreflow
{

namespace
{

/**
 * @param value written in network order
 * @param out where
 * @param bytes how many
 */
void
Put(uint64_t value, uint8_t* out, int bytes)
{
    for (int i = bytes - 1; i >= 0; --i, value >>= 8)
    {
        out[i] = static_cast<uint8_t>(value);
    }
}

/**
 * @param in network order
 * @param bytes how many
 * @return the value
 */
uint64_t
Get(const uint8_t* in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i)
    {
        value = value << 8 | in[i];
    }
    return value;
}

} // namespace

RequestStream::RequestStream(Ptr<Socket> socket, Receiver receiver)
    : m_socket(socket)
    , m_receiver(receiver)
{
}

void
RequestStream::Write(const MessageHeader& header)
{
    const uint32_t bytes = std::max(header.bytes, MessageHeader::BYTES);
    std::array<uint8_t, MessageHeader::BYTES> wire;
    Put(header.number, wire.data(), 8);
    Put(bytes, wire.data() + 8, 4);
    Put(header.wantedBytes, wire.data() + 12, 4);
    auto packet = Create<Packet>(wire.data(), MessageHeader::BYTES);
    if (bytes > MessageHeader::BYTES)
    {
        packet->AddAtEnd(Create<Packet>(bytes - MessageHeader::BYTES));
    }
    m_unsent.push_back(packet);
    Flush();
}

void
RequestStream::Flush()
{
    while (!m_unsent.empty())
    {
        Ptr<Packet> first = m_unsent.front();
        const uint32_t size = std::min(first->GetSize(), m_socket->GetTxAvailable());
        if (size == 0 || m_socket->Send(first->CreateFragment(0, size)) < 0)
        {
            return;
        }
        first->RemoveAtStart(size);
        if (first->GetSize() == 0)
        {
            m_unsent.pop_front();
        }
    }
}

void
RequestStream::Read()
{
    while (Ptr<Packet> packet = m_socket->Recv())
    {
        const uint32_t size = packet->GetSize();
        if (size == 0)
        {
            return;
        }
        m_buffer.resize(size);
        packet->CopyData(m_buffer.data(), size);
        for (uint32_t at = 0; at < size;)
        {
            if (m_headerBytes < MessageHeader::BYTES)
            {
                const uint32_t part = std::min(size - at, MessageHeader::BYTES - m_headerBytes);
                std::copy_n(m_buffer.data() + at, part, m_header.data() + m_headerBytes);
                m_headerBytes += part;
                at += part;
                if (m_headerBytes < MessageHeader::BYTES)
                {
                    break;
                }
                m_message.number = Get(m_header.data(), 8);
                m_message.bytes = static_cast<uint32_t>(Get(m_header.data() + 8, 4));
                m_message.wantedBytes = static_cast<uint32_t>(Get(m_header.data() + 12, 4));
                m_bodyLeft = std::max(m_message.bytes, MessageHeader::BYTES) - MessageHeader::BYTES;
            }
            const auto part = static_cast<uint32_t>(std::min<uint64_t>(size - at, m_bodyLeft));
            m_bodyLeft -= part;
            at += part;
            if (m_bodyLeft == 0)
            {
                m_headerBytes = 0;
                m_receiver(*this, m_message);
            }
        }
    }
}

} // namespace foreflow
} // namespace ns3
