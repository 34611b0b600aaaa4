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
ReplayApplication::SetTraffic(Ptr<OffloadNic> nic,
                              const std::vector<path::Arrival>* arrivals,
                              const std::vector<Nanos>* times)
{
    m_nic = nic;
    m_arrivals = arrivals;
    m_times = times;
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

Nanos
ReplayApplication::TimeOf(std::size_t packet) const
{
    return m_start + (m_times ? (*m_times)[packet] : (*m_arrivals)[packet].time);
}

void
ReplayApplication::ScheduleNext()
{
    if (m_next < m_arrivals->size())
    {
        m_step = Simulator::Schedule(
            DelayUntil(ToPicos(TimeOf(m_next))), &ReplayApplication::Step, this);
    }
}

void
ReplayApplication::Step()
{
    const Nanos now = ToNanosFloor(PicosNow());
    for (; m_next < m_arrivals->size() && TimeOf(m_next) <= now; ++m_next)
    {
        path::Arrival arrival = (*m_arrivals)[m_next];
        arrival.time += m_start;
        m_nic->Arrive(arrival, nullptr);
    }
    ScheduleNext();
}

} // namespace foreflow
} // namespace ns3
