// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_MAILBOX_H
#define FOREFLOW_PDU_MAILBOX_H

#include "models/shard/unit.h"

#include "ns3/mac48-address.h"

#include <cstdint>

/**
 * @file
 * @ingroup foreflow
 * All that a guest and a packet dynamics unit say to each other besides frames.
 */

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * What a guest may know of a channel.
 */
struct PduChannelStatistics
{
    uint64_t sent{0};           //!< frames that were taken
    uint64_t sentBytes{0};      //!< theirs
    uint64_t refused{0};        //!< frames that were not
    uint64_t delivered{0};      //!< frames from the other side
    uint64_t deliveredBytes{0}; //!< theirs
};

/**
 * @ingroup foreflow
 * What a guest asks for.
 */
struct PduRequest
{
    /**
     * What is to be done.
     */
    enum class Kind : uint8_t
    {
        OPEN,       //!< a channel to an address
        CLOSE,      //!< one
        PREFER,     //!< something for what is sent by one
        STATISTICS, //!< of one
    };

    Kind kind{Kind::OPEN};                      //!< what is to be done
    uint32_t channel{0};                        //!< with which; not of OPEN
    Mac48Address remote;                        //!< of OPEN: the other side
    ::foreflow::shard::Preference preference{}; //!< of OPEN and PREFER
};

/**
 * @ingroup foreflow
 * What came of it.
 */
struct PduReply
{
    /**
     * Whether it was done, or why not.
     */
    enum class Status : uint8_t
    {
        DONE,           //!< as asked
        NO_ROUTE,       //!< nobody has this address
        NOT_PERMITTED,  //!< this guest may not speak to whoever has it
        NO_MORE,        //!< as many channels are open as may be
        ALREADY_OPEN,   //!< to this address
        NO_SUCH_CHANNEL //!< of this guest
    };

    Status status{Status::DONE};     //!< whether it was done
    uint32_t channel{0};             //!< which
    PduChannelStatistics statistics; //!< of STATISTICS
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_MAILBOX_H
