// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-fragment-queue-disc.h"

#include "foreflow-compat.h"

#include "models/base/hash.h"
#include "models/wire/ipv4.h"
#include "models/wire/udp.h"

#include "ns3/boolean.h"
#include "ns3/double.h"
#include "ns3/ipv4-queue-disc-item.h"
#include "ns3/log.h"
#include "ns3/simulator.h"
#include "ns3/uinteger.h"

#include <array>
#include <iterator>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowFragmentQueueDisc");

namespace foreflow
{

namespace wire = ::foreflow::wire;

NS_OBJECT_ENSURE_REGISTERED(FragmentQueue);
NS_OBJECT_ENSURE_REGISTERED(FragmentQueueDisc);

TypeId
FragmentQueue::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::FragmentQueue")
            .SetParent<Queue<QueueDiscItem>>()
            .SetGroupName("Foreflow")
            .AddConstructor<FragmentQueue>()
            .AddAttribute("MaxSize",
                          "What may wait, in packets or bytes.",
                          QueueSizeValue(QueueSize("256p")),
                          MakeQueueSizeAccessor(&QueueBase::SetMaxSize, &QueueBase::GetMaxSize),
                          MakeQueueSizeChecker());
    return tid;
}

FragmentQueue::FragmentQueue() = default;
FragmentQueue::~FragmentQueue() = default;

bool
FragmentQueue::Insert(ConstPlace before, Ptr<QueueDiscItem> item, Place& place)
{
    return DoEnqueue(before, item, place);
}

FragmentQueue::ConstPlace
FragmentQueue::End() const
{
    return GetContainer().end();
}

bool
FragmentQueue::Enqueue(Ptr<QueueDiscItem> item)
{
    return DoEnqueue(End(), item);
}

Ptr<QueueDiscItem>
FragmentQueue::Dequeue()
{
    return DoDequeue(GetContainer().begin());
}

Ptr<QueueDiscItem>
FragmentQueue::Remove()
{
    return DoRemove(GetContainer().begin());
}

Ptr<const QueueDiscItem>
FragmentQueue::Peek() const
{
    return DoPeek(GetContainer().begin());
}

TypeId
FragmentQueueDisc::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::FragmentQueueDisc")
            .SetParent<QueueDisc>()
            .SetGroupName("Foreflow")
            .AddConstructor<FragmentQueueDisc>()
            .AddAttribute("MaxSize",
                          "What may wait, in packets or bytes.",
                          QueueSizeValue(QueueSize("256p")),
                          MakeQueueSizeAccessor(&QueueDisc::SetMaxSize, &QueueDisc::GetMaxSize),
                          MakeQueueSizeChecker())
            .AddAttribute("Discard",
                          "What is dropped besides the item that finds the queue full.",
                          EnumValue(EARLY),
                          MakeEnumAccessorCompat<Discard>(&FragmentQueueDisc::m_discard, 0),
                          MakeEnumChecker(NOTHING, "Nothing", PARTIAL, "Partial", EARLY, "Early"))
            .AddAttribute("EarlyThreshold",
                          "Of MaxSize: above it packets that begin are dropped.",
                          DoubleValue(0.75),
                          MakeDoubleAccessor(&FragmentQueueDisc::m_early),
                          MakeDoubleChecker<double>(0, 1))
            .AddAttribute("MarkThreshold",
                          "Of MaxSize: above it everything is marked; 1: nothing is.",
                          DoubleValue(1),
                          MakeDoubleAccessor(&FragmentQueueDisc::m_mark),
                          MakeDoubleChecker<double>(0, 1))
            .AddAttribute("KeepTogether",
                          "Whether fragments of a packet leave one after the other.",
                          BooleanValue(true),
                          MakeBooleanAccessor(&FragmentQueueDisc::m_keepsTogether),
                          MakeBooleanChecker())
            .AddAttribute("UdpPort",
                          "The UDP port at which units are reached.",
                          UintegerValue(7800),
                          MakeUintegerAccessor(&FragmentQueueDisc::m_udpPort),
                          MakeUintegerChecker<uint16_t>(1))
            .AddAttribute("Packets",
                          "Places for what is known of packets.",
                          UintegerValue(4096),
                          MakeUintegerAccessor(&FragmentQueueDisc::m_packets),
                          MakeUintegerChecker<uint32_t>(1, 1U << 20))
            .AddAttribute("Memory",
                          "How long something is known of a packet.",
                          TimeValue(MilliSeconds(100)),
                          MakeTimeAccessor(&FragmentQueueDisc::m_memory),
                          MakeTimeChecker(TimeStep(1)));
    return tid;
}

FragmentQueueDisc::FragmentQueueDisc()
    : QueueDisc(QueueDiscSizePolicy::SINGLE_INTERNAL_QUEUE)
{
}

FragmentQueueDisc::~FragmentQueueDisc() = default;

void
FragmentQueueDisc::DoDispose()
{
    m_last.clear();
    m_queue = nullptr;
    QueueDisc::DoDispose();
}

std::optional<FragmentQueueDisc::Fragment>
FragmentQueueDisc::Read(Ptr<const QueueDiscItem> item) const
{
    const auto datagram = DynamicCast<const Ipv4QueueDiscItem>(item);
    if (!datagram)
    {
        return std::nullopt;
    }
    const Ipv4Header& ip = datagram->GetHeader();
    std::array<uint8_t,
               wire::UdpHeader::kBytes + wire::ShardHeader::kBytes + wire::FragmentHeader::kBytes>
        bytes;
    if (ip.GetProtocol() != wire::kProtocolUdp || !ip.IsLastFragment() ||
        ip.GetFragmentOffset() != 0 ||
        datagram->GetPacket()->CopyData(bytes.data(), bytes.size()) != bytes.size())
    {
        return std::nullopt;
    }
    wire::UdpHeader udp;
    wire::ShardHeader message;
    wire::FragmentHeader header;
    const uint8_t* end = bytes.data() + bytes.size();
    wire::Decode(wire::Decode(wire::Decode(bytes.data(), end, udp), end, message), end, header);
    const bool isRepair = message.type == wire::ShardType::kRepair;
    if (udp.destination_port != m_udpPort || message.version != wire::ShardHeader::kVersion ||
        (!isRepair && message.type != wire::ShardType::kData) ||
        !wire::IsGrid(header.length, header.total) || header.index >= header.total ||
        header.base_delta > message.number)
    {
        return std::nullopt;
    }
    Fragment fragment;
    fragment.session = message.session;
    fragment.base = message.number - header.base_delta;
    fragment.isRepair = isRepair;
    fragment.isFirst = !isRepair && header.base_delta == header.index;
    return fragment;
}

FragmentQueueDisc::KnownPacket&
FragmentQueueDisc::PlaceOf(const PacketKey& key)
{
    const uint64_t hash = ::foreflow::Mix64(::foreflow::Mix64(key.first) ^ key.second);
    return m_known[hash % m_known.size()];
}

FragmentQueueDisc::KnownPacket*
FragmentQueueDisc::Find(const PacketKey& key)
{
    KnownPacket& packet = PlaceOf(key);
    return packet.key == key && Simulator::Now() < packet.until ? &packet : nullptr;
}

void
FragmentQueueDisc::Note(const PacketKey& key, bool isDiscarded)
{
    PlaceOf(key) = {key, Simulator::Now() + m_memory, isDiscarded};
}

bool
FragmentQueueDisc::IsLong(double share)
{
    return GetCurrentSize().GetValue() >= share * GetMaxSize().GetValue();
}

const char*
FragmentQueueDisc::Judge(const Fragment& fragment)
{
    if (m_discard == NOTHING || (!fragment.isFirst && !fragment.isRepair))
    {
        return nullptr;
    }
    const PacketKey key{fragment.session, fragment.base};
    const KnownPacket* packet = Find(key);
    if (packet != nullptr && packet->isDiscarded)
    {
        return REST;
    }
    if (m_discard == PARTIAL || !IsLong(m_early))
    {
        return nullptr;
    }
    if (fragment.isRepair)
    {
        return REPAIR;
    }
    return packet == nullptr ? LONG : nullptr;
}

bool
FragmentQueueDisc::DoEnqueue(Ptr<QueueDiscItem> item)
{
    NS_LOG_FUNCTION(this << item);
    const std::optional<Fragment> fragment = Read(item);
    const PacketKey key = fragment ? PacketKey{fragment->session, fragment->base} : PacketKey();
    const char* reason = fragment ? Judge(*fragment) : nullptr;
    if (reason == nullptr && GetCurrentSize() + item > GetMaxSize())
    {
        reason = FULL;
    }
    if (m_discard != NOTHING && fragment && fragment->isFirst)
    {
        Note(key, reason != nullptr);
    }
    if (reason != nullptr)
    {
        DropBeforeEnqueue(item, reason);
        return false;
    }
    if (m_mark < 1 && IsLong(m_mark))
    {
        Mark(item, MARKED);
    }
    const auto last = m_keepsTogether && fragment ? m_last.find(key) : m_last.end();
    FragmentQueue::Place place;
    const bool isQueued = m_queue->Insert(
        last == m_last.end() ? m_queue->End() : std::next(last->second), item, place);
    if (isQueued && m_keepsTogether && fragment)
    {
        m_last[key] = place;
    }
    return isQueued;
}

Ptr<QueueDiscItem>
FragmentQueueDisc::DoDequeue()
{
    if (const Ptr<const QueueDiscItem> next = m_queue->Peek())
    {
        const std::optional<Fragment> fragment = m_keepsTogether ? Read(next) : std::nullopt;
        const auto last =
            fragment ? m_last.find({fragment->session, fragment->base}) : m_last.end();
        if (last != m_last.end() && *last->second == next)
        {
            m_last.erase(last);
        }
    }
    return m_queue->Dequeue();
}

Ptr<const QueueDiscItem>
FragmentQueueDisc::DoPeek()
{
    return m_queue->Peek();
}

bool
FragmentQueueDisc::CheckConfig()
{
    if (GetNQueueDiscClasses() > 0 || GetNPacketFilters() > 0 || GetNInternalQueues() > 0)
    {
        NS_LOG_ERROR("FragmentQueueDisc has neither classes, filters nor queues of others");
        return false;
    }
    m_queue = CreateObjectWithAttributes<FragmentQueue>("MaxSize", QueueSizeValue(GetMaxSize()));
    AddInternalQueue(m_queue);
    return true;
}

void
FragmentQueueDisc::InitializeParams()
{
    m_known.assign(m_packets, KnownPacket());
}

} // namespace foreflow
} // namespace ns3
