// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_REPLAY_APPLICATION_H
#define FOREFLOW_REPLAY_APPLICATION_H

#include "foreflow-offload-nic.h"

#include "ns3/application.h"
#include "ns3/event-id.h"

#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * Feeds packets into the virtual ports of a host at their time stamps, whatever becomes of them
 * (open loop). To be installed on the node of the OffloadNic. One event for each distinct time
 * stamp, one ahead.
 */
class ReplayApplication : public Application
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    ReplayApplication();
    ~ReplayApplication() override;

    /**
     * @param nic of the node
     * @param arrivals in order of time, counted from the application's start; must outlive the
     * application
     * @param times when each arrives on the simulator's clock, counted from the application's
     * start, or null for the arrivals' own times; must outlive the application
     */
    void
    SetTraffic(Ptr<OffloadNic> nic,
               const std::vector<path::Arrival>* arrivals,
               const std::vector<Nanos>* times = nullptr);

    /**
     * @return packets fed so far
     */
    uint64_t
    GetNReplayed() const;

  protected:
    void
    DoDispose() override;

  private:
    void
    StartApplication() override;
    void
    StopApplication() override;

    /**
     * Feeds all packets whose time has come.
     */
    void
    Step();

    /**
     * @param packet a number
     * @return when it arrives on the simulator's clock
     */
    Nanos
    TimeOf(std::size_t packet) const;

    /**
     * Schedules the next step, if packets are left.
     */
    void
    ScheduleNext();

    Ptr<OffloadNic> m_nic;                                 //!< of the node
    const std::vector<path::Arrival>* m_arrivals{nullptr}; //!< what is fed
    const std::vector<Nanos>* m_times{nullptr};            //!< when, or null
    std::size_t m_next{0};                                 //!< the first that has not been fed
    Nanos m_start;                                         //!< of the application
    EventId m_step;                                        //!< the next step
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_REPLAY_APPLICATION_H
