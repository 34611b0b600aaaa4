// SPDX-License-Identifier: GPL-2.0-only
#include "foreflow-replay-application.h"

#include "ns3/abort.h"
#include "ns3/log.h"
#include "ns3/simulator.h"

namespace ns3
{

NS_LOG_COMPONENT_DEFINE("ForeflowReplayApplication");

namespace foreflow
{

NS_OBJECT_ENSURE_REGISTERED(ReplayApplication);

TypeId
ReplayApplication::GetTypeId()
{
    static TypeId tid = TypeId("ns3::foreflow::ReplayApplication")
                            .SetParent<Application>()
                            .SetGroupName("Foreflow")
                            .AddConstructor<ReplayApplication>();
    return tid;
}

ReplayApplication::ReplayApplication() = default;
ReplayApplication::~ReplayApplication() = default;

void
ReplayApplication::DoDispose()
{
    m_nic = nullptr;
    Application::DoDispose();
}

void
ReplayApplication::SetTraffic(Ptr<OffloadNic> nic, const std::vector<path::Arrival>* arrivals)
{
    m_nic = nic;
    m_arrivals = arrivals;
}

uint64_t
ReplayApplication::GetNReplayed() const
{
    return m_next;
}

void
ReplayApplication::StartApplication()
{
    NS_ABORT_MSG_IF(m_arrivals == nullptr, "SetTraffic was not called");
    m_start = ToNanosFloor(PicosNow());
    ScheduleNext();
}

void
ReplayApplication::StopApplication()
{
    m_step.Cancel();
}

void
ReplayApplication::ScheduleNext()
{
    if (m_next < m_arrivals->size())
    {
        const Nanos at = m_start + (*m_arrivals)[m_next].time;
        m_step = Simulator::Schedule(DelayUntil(ToPicos(at)), &ReplayApplication::Step, this);
    }
}

void
ReplayApplication::Step()
{
    const Nanos now = ToNanosFloor(PicosNow());
    for (; m_next < m_arrivals->size(); ++m_next)
    {
        path::Arrival arrival = (*m_arrivals)[m_next];
        arrival.time += m_start;
        if (arrival.time > now)
        {
            break;
        }
        m_nic->Arrive(arrival, nullptr);
    }
    ScheduleNext();
}

} // namespace foreflow
} // namespace ns3
