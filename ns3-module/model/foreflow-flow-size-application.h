// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_FLOW_SIZE_APPLICATION_H
#define FOREFLOW_FLOW_SIZE_APPLICATION_H

#include "ns3/address.h"
#include "ns3/application.h"
#include "ns3/event-id.h"
#include "ns3/nstime.h"
#include "ns3/random-variable-stream.h"
#include "ns3/socket.h"
#include "ns3/traced-callback.h"

#include <map>
#include <string>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A flow that a FlowSizeApplication has ended.
 */
struct FlowRecord
{
    uint64_t flow{0};  //!< number, from 0, in order of start
    uint64_t bytes{0}; //!< of payload
    Time start;        //!< of the connection
    Time end;          //!< the last byte is acknowledged
};

/**
 * Reads a flow-size distribution: lines "BYTES CUMULATIVE_PROBABILITY", rising, the last with
 * probability 1; # begins a comment. Sizes between two lines are interpolated linearly.
 *
 * @param file its name; throws ::foreflow::Refusal when it cannot be read or is no distribution
 * @return the distribution
 */
Ptr<EmpiricalRandomVariable>
LoadFlowSizes(const std::string& file);

/**
 * @ingroup foreflow
 * Sends flows over connections of their own (TCP unless the Protocol attribute says otherwise),
 * their sizes drawn from a distribution, to a sink that reads and discards. Closed loop: a new flow
 * starts when one has ended, after a gap. Open loop: flows start at gaps, whatever becomes of
 * earlier ones (exponential gaps make a Poisson process).
 */
class FlowSizeApplication : public Application
{
  public:
    /**
     * What starts the next flow.
     */
    enum Mode
    {
        CLOSED, //!< the end of one
        OPEN    //!< the start of one
    };

    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    FlowSizeApplication();
    ~FlowSizeApplication() override;

    /**
     * Assigns fixed streams to the random variables in use.
     *
     * @param stream the first one
     * @return how many were assigned
     */
    int64_t
    AssignStreams(int64_t stream);

    /**
     * @return flows that have ended
     */
    uint64_t
    GetNDone() const;

    /**
     * @return flows whose connection failed
     */
    uint64_t
    GetNFailed() const;

    /**
     * TracedCallback signature of FlowDone.
     *
     * @param record of a flow that has ended
     */
    typedef void (*FlowTracedCallback)(const FlowRecord& record);

  protected:
    void
    DoDispose() override;

  private:
    /**
     * A flow under way.
     */
    struct Flow
    {
        FlowRecord record;    //!< so far
        Ptr<Socket> socket;   //!< its connection
        uint64_t unsent{0};   //!< bytes that the socket has not taken
        uint32_t capacity{0}; //!< of the socket's send buffer
    };

    void
    StartApplication() override;
    void
    StopApplication() override;

    /**
     * Schedules a start after a gap, if flows are left.
     */
    void
    ScheduleStart();

    /**
     * Starts a flow.
     */
    void
    StartFlow();

    /**
     * The connection stands.
     *
     * @param socket of a flow
     */
    void
    Connected(Ptr<Socket> socket);

    /**
     * The connection could not be made, or broke.
     *
     * @param socket of a flow
     */
    void
    Failed(Ptr<Socket> socket);

    /**
     * The socket has room, since bytes were acknowledged.
     *
     * @param socket of a flow
     * @param room in bytes
     */
    void
    Proceed(Ptr<Socket> socket, uint32_t room);

    /**
     * Forgets a flow, and in closed loop starts the next.
     *
     * @param socket of a flow
     */
    void
    Remove(Ptr<Socket> socket);

    Address m_remote;                     //!< of the sink
    TypeId m_protocol;                    //!< of the sockets
    Mode m_mode{CLOSED};                  //!< what starts the next flow
    uint32_t m_concurrency{1};            //!< flows at once, in closed loop
    uint64_t m_maxFlows{0};               //!< 0: no bound
    Ptr<RandomVariableStream> m_flowSize; //!< bytes
    Ptr<RandomVariableStream> m_gap;      //!< seconds

    uint64_t m_scheduled{0};                    //!< starts scheduled so far
    uint64_t m_started{0};                      //!< flows started so far
    uint64_t m_done{0};                         //!< flows ended
    uint64_t m_failed{0};                       //!< flows whose connection failed
    bool m_running{false};                      //!< between start and stop
    std::map<Ptr<Socket>, uint64_t> m_bySocket; //!< numbers, to look up only
    std::map<uint64_t, Flow> m_flows;           //!< by number
    std::map<uint64_t, EventId> m_starts;       //!< scheduled, by number

    TracedCallback<const FlowRecord&> m_doneTrace; //!< a flow has ended
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_FLOW_SIZE_APPLICATION_H
