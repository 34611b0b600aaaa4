// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-offload-nic.h"

#include "foreflow-virtual-port.h"

#include "ns3/abort.h"
#include "ns3/log.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowOffloadNic");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(OffloadNic);

namespace
{

constexpr Picos NEVER{std::numeric_limits<int64_t>::max()};
constexpr uint32_t HEADER_BYTES = 14;
// Longer records exist in damaged captures; nothing above looks at the bytes of a zero-filled
// frame.
constexpr uint32_t LARGEST_FILLER = 1U << 20;
// Jobs of received frames, told from those of slots.
constexpr uint32_t INCOMING = 1U << 31;

} // namespace

TypeId
OffloadNic::GetTypeId()
{
    static TypeId tid =
        TypeId("ns3::foreflow::OffloadNic")
            .SetParent<FrameDevice>()
            .SetGroupName("Foreflow")
            .AddConstructor<OffloadNic>()
            .AddAttribute("DataRate",
                          "The port's rate.",
                          DataRateValue(DataRate("10Gb/s")),
                          MakeDataRateAccessor(&OffloadNic::m_rate),
                          MakeDataRateChecker())
            .AddAttribute("QueueSize",
                          "What may wait in each egress queue, in packets.",
                          QueueSizeValue(QueueSize("256p")),
                          MakeQueueSizeAccessor(&OffloadNic::m_queueSize),
                          MakeQueueSizeChecker())
            .AddAttribute(
                "FrameOverhead",
                "Bytes on the wire besides a frame: preamble 8, check sequence 4, gap 12.",
                UintegerValue(24),
                MakeUintegerAccessor(&OffloadNic::m_overheadBytes),
                MakeUintegerChecker<uint32_t>(0, 256))
            .AddAttribute("MinimumFrame",
                          "Shorter frames are padded to this many bytes.",
                          UintegerValue(60),
                          MakeUintegerAccessor(&OffloadNic::m_minimumBytes),
                          MakeUintegerChecker<uint32_t>(0, 60))
            .AddTraceSource("Decided",
                            "A packet has arrived at a virtual port and been decided.",
                            MakeTraceSourceAccessor(&OffloadNic::m_decidedTrace),
                            "ns3::foreflow::OffloadNic::DecisionTracedCallback")
            .AddTraceSource("PacketDone",
                            "A packet begins to leave, or is dropped.",
                            MakeTraceSourceAccessor(&OffloadNic::m_doneTrace),
                            "ns3::foreflow::OffloadNic::RecordTracedCallback")
            .AddTraceSource("Drop",
                            "A packet is dropped, with its reason.",
                            MakeTraceSourceAccessor(&OffloadNic::m_dropTrace),
                            "ns3::foreflow::OffloadNic::RecordTracedCallback")
            .AddTraceSource("Mirror",
                            "A copy of a packet is due at the mirror port.",
                            MakeTraceSourceAccessor(&OffloadNic::m_mirrorTrace),
                            "ns3::foreflow::OffloadNic::DecisionTracedCallback")
            .AddTraceSource("PhyTxBegin",
                            "The first bit of a frame leaves.",
                            MakeTraceSourceAccessor(&OffloadNic::m_phyTxBeginTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("PhyRxEnd",
                            "The last bit of a frame has arrived.",
                            MakeTraceSourceAccessor(&OffloadNic::m_phyRxEndTrace),
                            "ns3::Packet::TracedCallback")
            .AddTraceSource("ReceiveDrop",
                            "A received frame found a station full, or had no header.",
                            MakeTraceSourceAccessor(&OffloadNic::m_receiveDropTrace),
                            "ns3::Packet::TracedCallback");
    return tid;
}

OffloadNic::OffloadNic()
    : m_armedFor(NEVER)
{
}

OffloadNic::~OffloadNic() = default;

void
OffloadNic::DoDispose()
{
    m_channel = nullptr;
    m_ports.clear();
    m_portByMac.clear();
    m_slots.clear();
    FrameDevice::DoDispose();
}

void
OffloadNic::Configure(const OffloadNicConfig& config)
{
    NS_LOG_FUNCTION(this);
    if (m_queueSize.GetUnit() != QueueSizeUnit::PACKETS || m_queueSize.GetValue() == 0)
    {
        throw ::foreflow::Refusal("ns3::foreflow::OffloadNic",
                                  "QueueSize",
                                  std::to_string(m_queueSize.GetValue()),
                                  "1 packet or more, in packets");
    }
    if (m_rate.GetBitRate() == 0)
    {
        throw ::foreflow::Refusal("ns3::foreflow::OffloadNic", "DataRate", "0", "above 0");
    }
    m_vms = config.path.vms;
    m_pathConfig = config.path;
    m_path = std::make_unique<path::Lanes>(config.path, config.future);
    m_pipeline = std::make_unique<OffloadPipeline>(config.profiles);
    if (config.profiles.placement == hw::Placement::kHostCore)
    {
        m_coreProfile = config.profiles.host;
        hw::PollingConfig cores;
        cores.name = "host_core";
        cores.engines = m_coreProfile.engines;
        cores.queue_capacity = m_coreProfile.queue_capacity;
        cores.burst = path::kBurst;
        cores.burst_time =
            hw::TimeOf(m_coreProfile, hw::WholeCycles(m_coreProfile.carrying.burst_millicycles));
        m_cores = std::make_unique<hw::PollingStation>(cores);
        m_steering = SteeringCost(m_coreProfile);
    }
    tag::Scheduler::Config queues;
    queues.packets_per_queue = m_queueSize.GetValue();
    m_scheduler = std::make_unique<tag::Scheduler>(queues);
    m_bytes.resize(std::size_t{GetMtu()} + HEADER_BYTES);
}

void
OffloadNic::Attach(Ptr<EthernetChannel> channel)
{
    NS_LOG_FUNCTION(this << channel);
    m_channel = channel;
    channel->Attach(this);
    NotifyLinkUp();
}

void
OffloadNic::AddPort(Ptr<VirtualPort> port)
{
    NS_LOG_FUNCTION(this << port);
    const auto added = m_portByMac.emplace(port->GetMac(), PeekPointer(port));
    NS_ABORT_MSG_IF(!added.second, "two virtual ports of one host have the MAC " << port->GetMac());
    m_ports.push_back(port);
}

const OffloadNic::Statistics&
OffloadNic::GetStatistics() const
{
    return m_statistics;
}

uint64_t
OffloadNic::GetNHeld() const
{
    return m_held;
}

path::Counters
OffloadNic::GetPathCounters() const
{
    return m_path->counters();
}

const path::Lanes&
OffloadNic::GetPath() const
{
    return *m_path;
}

void
OffloadNic::ApplyRules(const rules::RuleBatch& batch)
{
    m_path->ApplyRules(batch);
}

void
OffloadNic::ReplaceRules(const std::vector<rules::Rule>& rules)
{
    path::PathConfig next = m_pathConfig;
    next.rules = rules;
    m_path->ReplaceRules(next);
    m_pathConfig = std::move(next);
}

const path::PathConfig&
OffloadNic::GetPathConfig() const
{
    return m_pathConfig;
}

void
OffloadNic::VisitLanes(
    const std::function<void(path::PacketPath& lane, std::size_t number, Nanos now)>& visit)
{
    for (std::size_t lane = 0; lane < m_path->size(); ++lane)
    {
        visit(m_path->lane(lane), lane, ToNanosFloor(PicosNow()));
    }
}

std::vector<hw::StationReport>
OffloadNic::GetStations() const
{
    if (m_cores)
    {
        return {{m_cores->name(), m_cores->engines(), m_cores->statistics()}};
    }
    std::vector<hw::StationReport> reports;
    for (const hw::Station& station : m_pipeline->GetStations())
    {
        reports.push_back({station.name(), station.engines(), station.statistics()});
    }
    return reports;
}

Ptr<Channel>
OffloadNic::GetChannel() const
{
    return m_channel;
}

bool
OffloadNic::IsLinkUp() const
{
    return m_channel && m_channel->IsUp();
}

bool
OffloadNic::IsPointToPoint() const
{
    return true;
}

bool
OffloadNic::TransmitFrame(Ptr<Packet> frame)
{
    SendFrame(nullptr, frame);
    return true;
}

void
OffloadNic::SendFrame(Ptr<VirtualPort> port, Ptr<Packet> frame)
{
    const uint32_t size = frame->GetSize();
    if (size > m_bytes.size())
    {
        m_bytes.resize(size);
    }
    frame->CopyData(m_bytes.data(), size);
    Mac48Address destination;
    destination.CopyFrom(m_bytes.data());

    path::Arrival arrival;
    arrival.captured = BytesView{m_bytes.data(), size};
    arrival.wire_bytes = size;
    arrival.vm = port && port->GetVm() <= m_vms ? port->GetVm() : flow::VmId{0};
    arrival.time = ToNanosFloor(PicosNow());
    arrival.sent = arrival.time;

    Way way = Way::WIRE;
    if (destination.IsGroup())
    {
        way = Way::BOTH;
    }
    else if (destination == GetMac() || m_portByMac.count(destination) != 0)
    {
        way = Way::LOCAL;
    }
    Process(arrival, frame, way, port);
}

void
OffloadNic::Arrive(const path::Arrival& arrival, Ptr<Packet> frame)
{
    Process(arrival, frame, Way::WIRE, nullptr);
}

void
OffloadNic::Process(const path::Arrival& arrival, Ptr<Packet> frame, Way way, Ptr<VirtualPort> port)
{
    path::Tagged tagged;
    path::Verdict verdict;
    path::StageWork work;
    m_path->HostSide(arrival, path::Parse(arrival), tagged, work);
    m_path->DeviceSide(arrival, tagged, verdict, work);
    const PacketCost cost = m_pipeline->Price(verdict, work);

    PacketRecord record;
    record.packet = m_statistics.in++;
    record.vm = arrival.vm;
    record.queue = verdict.queue;
    record.reason = verdict.reason;
    record.arrival = PicosNow();
    record.wireBytes = arrival.wire_bytes;
    record.hostCycles = cost.host;
    record.deviceCycles = cost.device;
    record.predictionCycles = cost.prediction;
    const PacketDecision decision{record.packet, arrival, verdict, work, cost};
    m_decidedTrace(decision);
    if (verdict.mirrored)
    {
        m_mirrorTrace(decision);
    }

    if (m_cores)
    {
        record.dropped = verdict.verb == rules::Verb::kDrop;
        JoinCores(record, cost, std::move(frame), way, port);
        return;
    }
    const OffloadPipeline::Passage passage =
        m_pipeline->Transmit(record.arrival, verdict, cost, arrival.wire_bytes);
    if (!passage.accepted)
    {
        Drop(record, Reason::kStationFull);
        return;
    }
    if (verdict.verb == rules::Verb::kDrop)
    {
        Drop(record, verdict.reason);
        return;
    }
    record.ready = passage.ready;
    if (way == Way::BOTH)
    {
        Simulator::Schedule(
            DelayUntil(record.ready), &OffloadNic::Steer, this, frame->Copy(), port);
    }
    const uint32_t handle = TakeSlot(record, std::move(frame));
    if (way == Way::LOCAL)
    {
        Simulator::Schedule(DelayUntil(record.ready), &OffloadNic::TurnRound, this, handle);
        return;
    }
    (verdict.punted ? m_slow : m_fast).push_back(handle);
    ArmNext();
}

Picos
OffloadNic::ServiceOf(uint64_t cycles) const
{
    return hw::TimeOf(m_coreProfile,
                      Cycles(cycles) + hw::WholeCycles(m_coreProfile.carrying.packet_millicycles));
}

void
OffloadNic::JoinCores(
    PacketRecord record, const PacketCost& cost, Ptr<Packet> frame, Way way, Ptr<VirtualPort> port)
{
    const uint32_t handle = TakeSlot(record, std::move(frame));
    m_slots[handle].way = way;
    m_slots[handle].port = port;
    if (!m_cores->Join(record.arrival, handle, ServiceOf(cost.all)))
    {
        Slot slot = GiveSlot(handle);
        Drop(slot.record, Reason::kStationFull);
        return;
    }
    BeginBursts(record.arrival);
}

void
OffloadNic::BeginBursts(Picos now)
{
    for (hw::PollingStation::Burst burst; m_cores->Begin(now, burst);)
    {
        Simulator::Schedule(
            DelayUntil(burst.done), &OffloadNic::EndBurst, this, burst.engine, burst.done);
    }
}

void
OffloadNic::EndBurst(std::size_t engine, Picos done)
{
    for (const uint32_t job : m_cores->End(engine))
    {
        if ((job & INCOMING) != 0)
        {
            const auto found = m_incoming.find(job);
            Deliver(found->second, nullptr, Time(0));
            m_incoming.erase(found);
            continue;
        }
        Slot& slot = m_slots[job];
        slot.record.ready = done;
        if (slot.record.dropped)
        {
            Slot dropped = GiveSlot(job);
            Drop(dropped.record, dropped.record.reason);
            continue;
        }
        if (slot.way == Way::BOTH)
        {
            Steer(slot.frame->Copy(), slot.port);
        }
        if (slot.way == Way::LOCAL)
        {
            TurnRound(job);
        }
        else
        {
            m_fast.push_back(job);
        }
    }
    BeginBursts(done);
    ArmNext();
}

void
OffloadNic::Drop(PacketRecord& record, Reason reason)
{
    record.dropped = true;
    record.reason = reason;
    ++m_statistics.dropped[static_cast<std::size_t>(reason)];
    m_dropTrace(record);
    m_doneTrace(record);
}

uint32_t
OffloadNic::TakeSlot(const PacketRecord& record, Ptr<Packet> frame)
{
    ++m_held;
    if (m_free.empty())
    {
        m_free.push_back(static_cast<uint32_t>(m_slots.size()));
        m_slots.emplace_back();
    }
    const uint32_t handle = m_free.back();
    m_free.pop_back();
    m_slots[handle].record = record;
    m_slots[handle].frame = std::move(frame);
    return handle;
}

OffloadNic::Slot
OffloadNic::GiveSlot(uint32_t handle)
{
    --m_held;
    m_free.push_back(handle);
    return std::move(m_slots[handle]);
}

void
OffloadNic::Collect(Picos now)
{
    while (true)
    {
        const Picos fast = m_fast.empty() ? NEVER : m_slots[m_fast.front()].record.ready;
        const Picos slow = m_slow.empty() ? NEVER : m_slots[m_slow.front()].record.ready;
        if (std::min(fast, slow) > now)
        {
            return;
        }
        std::deque<uint32_t>& from = fast <= slow ? m_fast : m_slow;
        const uint32_t handle = from.front();
        from.pop_front();
        const PacketRecord& record = m_slots[handle].record;
        if (!m_scheduler->Enqueue(record.queue, handle, record.wireBytes))
        {
            Slot slot = GiveSlot(handle);
            Drop(slot.record, Reason::kQueueFull);
        }
    }
}

void
OffloadNic::Arm(Picos time)
{
    if (time < m_armedFor)
    {
        m_armedFor = time;
        Simulator::Schedule(DelayUntil(time), &OffloadNic::Serve, this, time);
    }
}

void
OffloadNic::ArmNext()
{
    if (m_scheduler->size() != 0)
    {
        Arm(m_freeAt);
        return;
    }
    const Picos fast = m_fast.empty() ? NEVER : m_slots[m_fast.front()].record.ready;
    const Picos slow = m_slow.empty() ? NEVER : m_slots[m_slow.front()].record.ready;
    const Picos first = std::min(fast, slow);
    if (first != NEVER)
    {
        Arm(std::max(first, m_freeAt));
    }
}

void
OffloadNic::Serve(Picos time)
{
    if (time != m_armedFor)
    {
        return;
    }
    m_armedFor = NEVER;
    Collect(time);
    tag::Scheduler::Handle handle;
    uint8_t queue;
    if (m_scheduler->Dequeue(handle, queue))
    {
        Begin(static_cast<uint32_t>(handle), time);
    }
    ArmNext();
}

void
OffloadNic::Begin(uint32_t handle, Picos start)
{
    Slot slot = GiveSlot(handle);
    PacketRecord& record = slot.record;
    m_freeAt = start + SerializationTime(m_rate, m_overheadBytes, m_minimumBytes, record.wireBytes);
    record.departure = m_freeAt;
    ++m_statistics.out;
    m_statistics.outBytes += record.wireBytes;
    m_doneTrace(record);
    if (!IsLinkUp())
    {
        return; // an unplugged port sends into the void
    }
    if (!slot.frame)
    {
        slot.frame = Create<Packet>(std::min(record.wireBytes, LARGEST_FILLER));
    }
    m_phyTxBeginTrace(slot.frame);
    m_channel->Transmit(slot.frame, this, DelayUntil(m_freeAt));
}

void
OffloadNic::TurnRound(uint32_t handle)
{
    Slot slot = GiveSlot(handle);
    slot.record.departure = slot.record.ready;
    ++m_statistics.out;
    m_statistics.outBytes += slot.record.wireBytes;
    m_doneTrace(slot.record);
    Steer(slot.frame, nullptr);
}

void
OffloadNic::ReceiveFrame(Ptr<Packet> frame)
{
    m_phyRxEndTrace(frame);
    if (!m_cores || frame->GetSize() < HEADER_BYTES)
    {
        Steer(frame, nullptr);
        return;
    }
    ++m_statistics.received;
    const uint32_t job = INCOMING | (m_nIncoming++ & (INCOMING - 1));
    if (!m_cores->Join(PicosNow(), job, ServiceOf(m_steering.count())))
    {
        DropReceived(frame);
        return;
    }
    m_incoming.emplace(job, frame);
    BeginBursts(PicosNow());
}

void
OffloadNic::DropReceived(Ptr<Packet> frame)
{
    ++m_statistics.receiveDropped;
    m_receiveDropTrace(frame);
}

void
OffloadNic::Steer(Ptr<Packet> frame, Ptr<VirtualPort> sender)
{
    ++m_statistics.received;
    const uint32_t size = frame->GetSize();
    if (size < HEADER_BYTES)
    {
        DropReceived(frame);
        return;
    }
    Time delay;
    if (!m_cores)
    {
        const OffloadPipeline::Passage passage = m_pipeline->Receive(PicosNow(), size);
        if (!passage.accepted)
        {
            DropReceived(frame);
            return;
        }
        delay = DelayUntil(passage.ready);
    }
    Deliver(frame, sender, delay);
}

void
OffloadNic::Deliver(Ptr<Packet> frame, Ptr<VirtualPort> sender, Time delay)
{
    std::array<uint8_t, 6> mac;
    frame->CopyData(mac.data(), mac.size());
    Mac48Address destination;
    destination.CopyFrom(mac.data());

    const auto found = m_portByMac.find(destination);
    if (found != m_portByMac.end())
    {
        found->second->Deliver(frame, delay);
        return;
    }
    if (destination == GetMac() || destination.IsGroup())
    {
        Simulator::Schedule(delay, &OffloadNic::HandUp, this, frame->Copy());
        if (destination == GetMac())
        {
            return;
        }
    }
    // A group, or an address that nobody here has: every port but the sender's.
    for (const Ptr<VirtualPort>& port : m_ports)
    {
        if (port != sender)
        {
            port->Deliver(frame->Copy(), delay);
        }
    }
}

} // namespace foreflow
} // namespace ns3
