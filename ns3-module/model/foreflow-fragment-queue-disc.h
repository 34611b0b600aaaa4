// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_FRAGMENT_QUEUE_DISC_H
#define FOREFLOW_FRAGMENT_QUEUE_DISC_H

#include "models/wire/fragment.h"

#include "ns3/nstime.h"
#include "ns3/queue-disc.h"
#include "ns3/queue.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A queue that items can be put into the middle of.
 */
class FragmentQueue : public Queue<QueueDiscItem>
{
  public:
    /**
     * Where an item is.
     */
    using Place = Iterator;
    /**
     * Where an item is, to look at.
     */
    using ConstPlace = ConstIterator;

    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    FragmentQueue();
    ~FragmentQueue() override;

    /**
     * Puts an item in front of another.
     *
     * @param before in the queue; End (): behind all
     * @param item to be put there
     * @param place where it is
     * @return whether there was room
     */
    bool
    Insert(ConstPlace before, Ptr<QueueDiscItem> item, Place& place);

    /**
     * @return behind the last item
     */
    ConstPlace
    End() const;

    bool
    Enqueue(Ptr<QueueDiscItem> item) override;
    Ptr<QueueDiscItem>
    Dequeue() override;
    Ptr<QueueDiscItem>
    Remove() override;
    Ptr<const QueueDiscItem>
    Peek() const override;
};

/**
 * @ingroup foreflow
 * A queue that knows what fragments are, from their header in clear: a packet of which one fragment
 * is lost needs another round trip, however many others arrive, so what is dropped should be whole
 * packets.
 *
 * - The fragments of a packet leave one after the other (KeepTogether): one that comes while others
 *   of its packet wait is put behind them.
 * - Partial packet discard: once one fragment was dropped, the rest of its packet is.
 * - Early packet discard (Romanow, Floyd: Dynamics of TCP Traffic over ATM Networks, 1995): a
 * packet whose first fragment finds the queue above a threshold is dropped whole, and what is above
 * the threshold is left for packets that have begun. Repairs are dropped there too: nobody misses
 *   them where nothing else is lost.
 * - Marks (RFC 3168) above another threshold.
 *
 * Fragments that are sent again stand for themselves. All other traffic, IPv6 and fragments of IP
 * among it, passes first in, first out, and is dropped when the queue is full. What is known of a
 * packet is forgotten after Memory, or when another packet takes its place in a table of fixed
 * size: then it is taken for a new one.
 */
class FragmentQueueDisc : public QueueDisc
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    FragmentQueueDisc();
    ~FragmentQueueDisc() override;

    /**
     * What is dropped besides the item that finds the queue full.
     */
    enum Discard
    {
        NOTHING, //!< that item alone
        PARTIAL, //!< the rest of its packet
        EARLY    //!< and packets that begin when the queue is long
    };

    static constexpr const char* FULL = "The queue is full";                       //!< reason
    static constexpr const char* REST = "A fragment of the packet was dropped";    //!< reason
    static constexpr const char* LONG = "A packet begins while the queue is long"; //!< reason
    static constexpr const char* REPAIR = "A repair while the queue is long";      //!< reason
    static constexpr const char* MARKED = "The queue is long";                     //!< reason

  private:
    /**
     * What the header of a fragment says.
     */
    struct Fragment
    {
        uint32_t session{0};  //!< of its sender
        uint64_t base{0};     //!< of its packet
        bool isFirst{false};  //!< it is sent for the first time
        bool isRepair{false}; //!< it repairs another
    };

    /**
     * Names a packet.
     */
    using PacketKey = std::pair<uint32_t, uint64_t>;

    /**
     * What is known of a packet.
     */
    struct KnownPacket
    {
        PacketKey key;           //!< its name
        Time until;              //!< known so long
        bool isDiscarded{false}; //!< the rest is dropped
    };

    bool
    DoEnqueue(Ptr<QueueDiscItem> item) override;
    Ptr<QueueDiscItem>
    DoDequeue() override;
    Ptr<const QueueDiscItem>
    DoPeek() override;
    bool
    CheckConfig() override;
    void
    InitializeParams() override;
    void
    DoDispose() override;

    /**
     * @param item that came
     * @return what it says; none: it is no fragment
     */
    std::optional<Fragment>
    Read(Ptr<const QueueDiscItem> item) const;

    /**
     * @param key of a packet
     * @return its place in the table
     */
    KnownPacket&
    PlaceOf(const PacketKey& key);

    /**
     * @param key of a packet
     * @return what is known of it; null: nothing
     */
    KnownPacket*
    Find(const PacketKey& key);

    /**
     * @param key of a packet
     * @param isDiscarded whether the rest is to be dropped
     */
    void
    Note(const PacketKey& key, bool isDiscarded);

    /**
     * @param fragment that came
     * @return why it is dropped although there is room; null: it is not
     */
    const char*
    Judge(const Fragment& fragment);

    /**
     * @param share of MaxSize
     * @return whether so much or more waits
     */
    bool
    IsLong(double share);

    Discard m_discard{EARLY};                              //!< what else is dropped
    double m_early{0};                                     //!< share of MaxSize
    double m_mark{0};                                      //!< share of MaxSize
    bool m_keepsTogether{true};                            //!< fragments of a packet
    uint16_t m_udpPort{0};                                 //!< of units
    uint32_t m_packets{0};                                 //!< in the table
    Time m_memory;                                         //!< of the table
    std::vector<KnownPacket> m_known;                      //!< the table
    Ptr<FragmentQueue> m_queue;                            //!< what waits
    std::map<PacketKey, FragmentQueue::ConstPlace> m_last; //!< fragment of a packet that waits
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_FRAGMENT_QUEUE_DISC_H
