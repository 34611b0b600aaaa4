// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-impaired-channel.h"

#include "foreflow-wire-time.h"

#include "models/shard/host_frame.h"
#include "models/wire/ipv4.h"
#include "models/wire/rewrite.h"
#include "models/wire/udp.h"

#include "ns3/abort.h"
#include "ns3/ethernet-header.h"
#include "ns3/log.h"

#include <algorithm>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowImpairedChannel");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(ImpairedChannel);

namespace
{

constexpr uint32_t HEADER_BYTES =
    wire::EthernetHeader::kBytes + wire::Ipv4Header::kBytes + wire::UdpHeader::kBytes;
constexpr uint8_t CONGESTION_EXPERIENCED = 3;

/**
 * Marks a packet whose sender heeds marks (RFC 3168).
 *
 * @param frame to be changed
 */
void
Mark(MutableBytes frame)
{
    Work work;
    wire::Dissection packet =
        wire::Dissect(wire::Link::kEthernet, frame, static_cast<uint32_t>(frame.size), work);
    const bool hasIp = packet.l3 == wire::Layer3::kIpv4 || packet.l3 == wire::Layer3::kIpv6;
    if (hasIp && packet.ecn != 0)
    {
        wire::SetEcn(CONGESTION_EXPERIENCED, frame, packet);
    }
}

} // namespace

TypeId
ImpairedChannel::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::ImpairedChannel")
            .SetParent<EthernetChannel>()
            .SetGroupName("Foreflow")
            .AddConstructor<ImpairedChannel>()
            .AddTraceSource("Loss",
                            "A frame is lost, with its fate.",
                            MakeTraceSourceAccessor(&ImpairedChannel::m_lossTrace),
                            "ns3::foreflow::ImpairedChannel::LossTracedCallback")
            .AddTraceSource("Passage",
                            "A frame is sent, with what becomes of it.",
                            MakeTraceSourceAccessor(&ImpairedChannel::m_passageTrace),
                            "ns3::foreflow::ImpairedChannel::PassageTracedCallback");
    return tid;
}

ImpairedChannel::ImpairedChannel() = default;
ImpairedChannel::~ImpairedChannel() = default;

void
ImpairedChannel::Configure(const impair::ImpairmentConfig& there,
                           const impair::ImpairmentConfig& back,
                           uint64_t seed,
                           uint32_t index)
{
    m_impairments[0].emplace(there, seed, 2 * index);
    m_impairments[1].emplace(back, seed, 2 * index + 1);
}

const impair::Impairment::Counts&
ImpairedChannel::GetCounts(std::size_t direction) const
{
    NS_ABORT_MSG_IF(!m_impairments.at(direction), "the channel has not been configured");
    return m_impairments[direction]->counts();
}

void
ImpairedChannel::Transmit(Ptr<const Packet> frame, const FrameDevice* source, Time lastBit)
{
    NS_LOG_FUNCTION(this << frame << lastBit);
    const std::size_t direction = source == PeekPointer(GetDevice(0)) ? 0 : 1;
    if (!m_impairments[direction])
    {
        EthernetChannel::Transmit(frame, source, lastBit);
        return;
    }
    impair::Impairment& impairment = *m_impairments[direction];
    std::vector<uint8_t>& bytes = m_bytes[direction];
    bytes.resize(frame->GetSize());
    frame->CopyData(bytes.data(), frame->GetSize());
    Work work;
    const std::size_t path =
        impairment.paths() == 1
            ? 0
            : shard::ReadHostFrame(BytesView{bytes.data(), bytes.size()}, work).flow;
    const uint32_t headers = std::min(frame->GetSize(), HEADER_BYTES);
    const Picos left = PicosNow() + Picos(lastBit.GetPicoSeconds());
    // The first whole nanosecond at which the last bit has left.
    const Nanos now = ToNanosFloor(left + Picos(999));
    const impair::Passage passage = impairment.Pass(path, frame->GetSize() - headers, now);
    m_passageTrace(frame, direction, passage);
    if (passage.copies == 0)
    {
        m_lossTrace(frame, passage.fate);
        return;
    }
    for (std::size_t i = 0; i < passage.copies; ++i)
    {
        const impair::Passage::Copy& copy = passage.copy[i];
        Ptr<const Packet> arriving = frame;
        if (copy.flip != 0 || passage.is_marked)
        {
            std::vector<uint8_t> changed = bytes;
            if (passage.is_marked)
            {
                Mark(MutableBytes{changed.data(), changed.size()});
            }
            if (copy.flip != 0)
            {
                changed[headers + copy.place] ^= copy.flip;
            }
            arriving = Create<Packet>(changed.data(), static_cast<uint32_t>(changed.size()));
        }
        EthernetChannel::Transmit(arriving,
                                  source,
                                  lastBit +
                                      NanoSeconds(static_cast<uint64_t>((copy.at - now).count())));
    }
}

} // namespace foreflow
} // namespace ns3
