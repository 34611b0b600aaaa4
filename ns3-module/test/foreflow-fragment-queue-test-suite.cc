// SPDX-License-Identifier: GPL-2.0-only
#include "models/base/rng.h"

#include "ns3/boolean.h"
#include "ns3/double.h"
#include "ns3/enum.h"
#include "ns3/foreflow-fragment-queue-disc.h"
#include "ns3/ipv4-queue-disc-item.h"
#include "ns3/mac48-address.h"
#include "ns3/simulator.h"
#include "ns3/test.h"
#include "ns3/udp-header.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace ns3;

namespace tests
{

namespace ff = ns3::foreflow;
using Discard = ff::FragmentQueueDisc::Discard;
using Key = std::pair<uint32_t, uint64_t>;

/**
 * What is put into a queue, as the test knows it.
 */
struct QueuedItem
{
    /**
     * What it is.
     */
    enum Kind
    {
        PLAIN,
        FIRST,
        AGAIN,
        REPAIR
    };

    int id{0};         //!< by which it is known
    Kind kind{PLAIN};  //!< what it is
    Key packet;        //!< whose fragment
    uint8_t index{0};  //!< of the fragment
    uint8_t total{1};  //!< of the packet
    bool isEct{false}; //!< heeds marks
};

/**
 * @param queued item
 * @param port of UDP
 * @return it, for a queue disc
 */
static Ptr<QueueDiscItem>
MakeItem(const QueuedItem& queued, uint16_t port = 7800)
{
    namespace wire = ::foreflow::wire;
    std::vector<uint8_t> bytes(140, 0xff);
    if (queued.kind != QueuedItem::PLAIN)
    {
        wire::ShardHeader message;
        message.type =
            queued.kind == QueuedItem::REPAIR ? wire::ShardType::kRepair : wire::ShardType::kData;
        message.session = queued.packet.first;
        wire::FragmentHeader header;
        header.base_delta = queued.kind == QueuedItem::FIRST ? queued.index : 1000;
        message.number = queued.packet.second + header.base_delta;
        header.index = queued.kind == QueuedItem::REPAIR ? uint8_t{0} : queued.index;
        header.total = queued.total;
        header.length = static_cast<uint16_t>(100 * queued.total);
        uint8_t* end = bytes.data() + bytes.size();
        wire::Encode(wire::Encode(bytes.data(), end, message), end, header);
    }
    auto packet = Create<Packet>(bytes.data(), static_cast<uint32_t>(bytes.size()));
    UdpHeader udp;
    udp.SetSourcePort(50'000);
    udp.SetDestinationPort(port);
    packet->AddHeader(udp);
    Ipv4Header ip;
    ip.SetProtocol(17);
    ip.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
    ip.SetEcn(queued.isEct ? Ipv4Header::ECN_ECT0 : Ipv4Header::ECN_NotECT);
    return Create<Ipv4QueueDiscItem>(packet, Mac48Address("02:00:00:00:00:01"), 0x0800, ip);
}

/**
 * @param discard what is dropped besides
 * @param size of the queue, packets
 * @param keepsTogether fragments of a packet
 * @return the queue
 */
static Ptr<ff::FragmentQueueDisc>
MakeQueue(Discard discard, uint32_t size, bool keepsTogether)
{
    auto queue = CreateObject<ff::FragmentQueueDisc>();
    queue->SetAttribute("Discard", EnumValue(discard));
    queue->SetAttribute("MaxSize", QueueSizeValue(QueueSize(QueueSizeUnit::PACKETS, size)));
    queue->SetAttribute("KeepTogether", BooleanValue(keepsTogether));
    queue->SetAttribute("EarlyThreshold", DoubleValue(0.5));
    queue->SetAttribute("Packets", UintegerValue(1 << 15));
    queue->Initialize();
    return queue;
}

/**
 * The reference: a list that is searched, and a map that forgets nothing.
 */
class NaiveQueue
{
  public:
    /**
     * @param discard what is dropped besides
     * @param size of the queue, packets
     * @param keepsTogether fragments of a packet
     */
    NaiveQueue(Discard discard, std::size_t size, bool keepsTogether)
        : m_discard(discard)
        , m_size(size)
        , m_keepsTogether(keepsTogether)
    {
    }

    /**
     * @param item that comes
     * @return whether it is taken
     */
    bool
    Enqueue(const QueuedItem& item)
    {
        const bool isLong = 2 * m_waiting.size() >= m_size;
        const bool isOfPacket = item.kind == QueuedItem::FIRST || item.kind == QueuedItem::REPAIR;
        bool isDropped = m_waiting.size() == m_size;
        if (m_discard != ff::FragmentQueueDisc::NOTHING && isOfPacket)
        {
            const auto known = m_known.find(item.packet);
            const bool isNew = known == m_known.end();
            isDropped = isDropped || (!isNew && known->second);
            if (m_discard == ff::FragmentQueueDisc::EARLY && isLong)
            {
                isDropped = isDropped || isNew || item.kind == QueuedItem::REPAIR;
            }
            if (item.kind == QueuedItem::FIRST)
            {
                m_known[item.packet] = isDropped;
            }
        }
        if (isDropped)
        {
            return false;
        }
        auto place = m_waiting.end();
        if (m_keepsTogether && item.kind != QueuedItem::PLAIN)
        {
            const auto last =
                std::find_if(m_waiting.rbegin(), m_waiting.rend(), [&item](const auto& other) {
                    return other.kind != QueuedItem::PLAIN && other.packet == item.packet;
                });
            place = last == m_waiting.rend() ? m_waiting.end() : last.base();
        }
        m_waiting.insert(place, item);
        return true;
    }

    /**
     * @return the id of the item that leaves, or -1
     */
    int
    Dequeue()
    {
        if (m_waiting.empty())
        {
            return -1;
        }
        const int id = m_waiting.front().id;
        m_waiting.erase(m_waiting.begin());
        return id;
    }

  private:
    Discard m_discard;                 //!< what is dropped besides
    std::size_t m_size;                //!< of the queue
    bool m_keepsTogether;              //!< fragments of a packet
    std::vector<QueuedItem> m_waiting; //!< in order
    std::map<Key, bool> m_known;       //!< packets, and whether they are dropped
};

/**
 * Fragments of packets of several sources that send at once.
 */
class Sources
{
  public:
    /**
     * @param seed of their order
     * @param count of sources
     */
    Sources(uint64_t seed, uint32_t count)
        : m_rng(seed, "foreflow-fragment-queue-test-suite")
        , m_sending(count)
    {
    }

    /**
     * @param most fragments of a packet
     * @return the next fragment of any of them
     */
    QueuedItem
    Next(uint8_t most)
    {
        const uint32_t source = m_rng.Below(static_cast<uint32_t>(m_sending.size()));
        QueuedItem& item = m_sending[source];
        if (item.kind == QueuedItem::PLAIN || ++item.index == item.total)
        {
            item.kind = QueuedItem::FIRST;
            item.packet = {source, m_nextBase};
            m_nextBase += 64;
            item.index = 0;
            item.total = most;
        }
        item.id = m_nextId++;
        return item;
    }

    /**
     * @param most fragments of a packet
     * @return as Next, or plain, or sent again, or a repair
     */
    QueuedItem
    NextOfAnyKind(uint8_t most)
    {
        QueuedItem item = Next(static_cast<uint8_t>(1 + m_rng.Below(most)));
        const uint32_t die = m_rng.Below(10);
        if (die < 3)
        {
            // What it would have been is lost before the queue.
            item.kind = die == 0   ? QueuedItem::PLAIN
                        : die == 1 ? QueuedItem::AGAIN
                                   : QueuedItem::REPAIR;
        }
        return item;
    }

    ::foreflow::Rng&
    rng()
    {
        return m_rng;
    }

  private:
    ::foreflow::Rng m_rng;             //!< of their order
    std::vector<QueuedItem> m_sending; //!< by source: its last fragment
    uint64_t m_nextBase{64};           //!< of a packet
    int m_nextId{0};                   //!< of an item
};

/**
 * What leaves, and what is dropped, beside the reference.
 */
class FragmentQueueModelTestCase : public TestCase
{
  public:
    /**
     * @param discard what is dropped besides
     * @param keepsTogether fragments of a packet
     */
    FragmentQueueModelTestCase(Discard discard, bool keepsTogether)
        : TestCase("as a list that is searched, discard " + std::to_string(discard) +
                   (keepsTogether ? ", together" : ", in order of arrival"))
        , m_discard(discard)
        , m_keepsTogether(keepsTogether)
    {
    }

  private:
    void
    DoRun() override
    {
        for (uint64_t seed = 1; seed <= 5; ++seed)
        {
            const auto queue = MakeQueue(m_discard, 12, m_keepsTogether);
            NaiveQueue naive(m_discard, 12, m_keepsTogether);
            Sources sources(seed, 5);
            std::map<Ptr<QueueDiscItem>, int> ids;
            uint64_t dropped = 0;
            for (int step = 0; step < 1500; ++step)
            {
                // Between 1 and 1.5 times as many come as leave, and sometimes none.
                if (sources.rng().Below(100) < (step % 500 < 400 ? 57u : 20u))
                {
                    const QueuedItem queued = sources.NextOfAnyKind(8);
                    const Ptr<QueueDiscItem> item = MakeItem(queued);
                    ids[item] = queued.id;
                    const bool isTaken = queue->Enqueue(item);
                    NS_TEST_ASSERT_MSG_EQ(isTaken, naive.Enqueue(queued), "seed " << seed);
                    dropped += isTaken ? 0 : 1;
                }
                else
                {
                    const Ptr<QueueDiscItem> item = queue->Dequeue();
                    NS_TEST_ASSERT_MSG_EQ(
                        (item ? ids[item] : -1), naive.Dequeue(), "seed " << seed);
                }
            }
            NS_TEST_EXPECT_MSG_GT(dropped, 20, "the queue was full");
            const QueueDisc::Stats& stats = queue->GetStats();
            NS_TEST_EXPECT_MSG_EQ(stats.nTotalDroppedPacketsBeforeEnqueue, dropped, "counted");
            NS_TEST_EXPECT_MSG_EQ(stats.nTotalEnqueuedPackets,
                                  stats.nTotalDequeuedPackets + queue->GetNPackets(),
                                  "nothing vanishes");
        }
    }

    void
    DoTeardown() override
    {
        Simulator::Destroy();
    }

    Discard m_discard;    //!< what is dropped besides
    bool m_keepsTogether; //!< fragments of a packet
};

/**
 * Twice as much as the link carries: whole packets, of what the link could carry.
 */
class FragmentQueueGoodputTestCase : public TestCase
{
  public:
    FragmentQueueGoodputTestCase()
        : TestCase("goodput at overload: nothing, partial, early")
    {
    }

  private:
    /**
     * @param discard what is dropped besides
     * @return share of what leaves that belongs to packets all of which leaves
     */
    static double
    Goodput(Discard discard)
    {
        constexpr uint8_t TOTAL = 8;
        const auto queue = MakeQueue(discard, 128, false);
        Sources sources(9, 8);
        std::map<Ptr<QueueDiscItem>, Key> packets;
        std::map<Key, int> left;
        int all = 0;
        for (int step = 0; step < 20'000; ++step)
        {
            for (int i = 0; i < 2; ++i)
            {
                const QueuedItem queued = sources.Next(TOTAL);
                const Ptr<QueueDiscItem> item = MakeItem(queued);
                if (queue->Enqueue(item))
                {
                    packets[item] = queued.packet;
                }
            }
            const Ptr<QueueDiscItem> item = queue->Dequeue();
            ++left[packets[item]];
            packets.erase(item);
            ++all;
        }
        int whole = 0;
        for (const auto& [packet, fragments] : left)
        {
            whole += fragments == TOTAL ? TOTAL : 0;
        }
        return static_cast<double>(whole) / all;
    }

    void
    DoRun() override
    {
        const double nothing = Goodput(ff::FragmentQueueDisc::NOTHING);
        const double partial = Goodput(ff::FragmentQueueDisc::PARTIAL);
        const double early = Goodput(ff::FragmentQueueDisc::EARLY);
        // Were the fates of fragments independent, 2^-8 of the packets would be whole: 0.8 % of
        // what leaves.
        NS_TEST_EXPECT_MSG_LT(nothing, 0.05, "nearly nothing is whole");
        NS_TEST_EXPECT_MSG_GT(partial, 3 * nothing, "part of a packet makes room for others");
        NS_TEST_EXPECT_MSG_LT(partial, 0.9, "but begins to drop too late");
        NS_TEST_EXPECT_MSG_GT(early, 0.98, "whole packets are dropped");
    }

    void
    DoTeardown() override
    {
        Simulator::Destroy();
    }
};

/**
 * Plain traffic, marks, and what is forgotten.
 */
class FragmentQueueRulesTestCase : public TestCase
{
  public:
    FragmentQueueRulesTestCase()
        : TestCase("plain traffic as it came, marks, other ports, and what is forgotten")
    {
    }

  private:
    /**
     * @param id of the item
     * @param kind of the item
     * @param index of the fragment
     * @return of packet 64, in four
     */
    static QueuedItem
    Of(int id, QueuedItem::Kind kind, uint8_t index)
    {
        QueuedItem item;
        item.id = id;
        item.kind = kind;
        item.packet = {1, 64};
        item.index = index;
        item.total = 4;
        return item;
    }

    void
    DoRun() override
    {
        {
            auto queue = MakeQueue(ff::FragmentQueueDisc::EARLY, 6, true);
            std::vector<Ptr<QueueDiscItem>> items;
            for (int i = 0; i < 8; ++i)
            {
                // Fragments that are sent to another port are plain traffic.
                items.push_back(i % 2 == 0 ? MakeItem(QueuedItem())
                                           : MakeItem(Of(i, QueuedItem::FIRST, 0), 7801));
                NS_TEST_EXPECT_MSG_EQ(queue->Enqueue(items.back()), (i < 6), "until it is full");
            }
            for (int i = 0; i < 6; ++i)
            {
                NS_TEST_EXPECT_MSG_EQ(queue->Dequeue(), items[i], "in order of arrival");
            }
            NS_TEST_EXPECT_MSG_EQ(
                queue->GetStats().GetNDroppedPackets(ff::FragmentQueueDisc::FULL), 2, "counted");
        }
        {
            auto queue = MakeQueue(ff::FragmentQueueDisc::EARLY, 10, true);
            queue->SetAttribute("MarkThreshold", DoubleValue(0.4));
            for (int i = 0; i < 8; ++i)
            {
                QueuedItem item;
                item.isEct = i % 2 == 0;
                queue->Enqueue(MakeItem(item));
            }
            for (int i = 0; i < 8; ++i)
            {
                const auto item = DynamicCast<Ipv4QueueDiscItem>(queue->Dequeue());
                const bool isMarked = item->GetHeader().GetEcn() == Ipv4Header::ECN_CE;
                NS_TEST_EXPECT_MSG_EQ(isMarked, (i % 2 == 0 && i >= 4), "item " << i);
            }
        }
        {
            auto queue = MakeQueue(ff::FragmentQueueDisc::EARLY, 4, true);
            queue->SetAttribute("Memory", TimeValue(MilliSeconds(1)));
            queue->Enqueue(MakeItem(QueuedItem()));
            queue->Enqueue(MakeItem(QueuedItem()));
            const auto offer = [this, queue](QueuedItem::Kind kind, uint8_t index, bool isTaken) {
                NS_TEST_EXPECT_MSG_EQ(
                    queue->Enqueue(MakeItem(Of(0, kind, index))), isTaken, Simulator::Now());
            };
            offer(QueuedItem::FIRST, 0, false); // it is long
            queue->Dequeue();
            offer(QueuedItem::FIRST, 1, false); // its packet is dropped
            offer(QueuedItem::REPAIR, 0, false);
            offer(QueuedItem::AGAIN, 1, true); // sent again: on its own
            Simulator::Schedule(MilliSeconds(2), [queue, offer] {
                queue->Dequeue();
                offer(QueuedItem::FIRST, 2, true); // forgotten
            });
            Simulator::Run();
            const QueueDisc::Stats& stats = queue->GetStats();
            NS_TEST_EXPECT_MSG_EQ(
                stats.GetNDroppedPackets(ff::FragmentQueueDisc::LONG), 1, "the first");
            NS_TEST_EXPECT_MSG_EQ(
                stats.GetNDroppedPackets(ff::FragmentQueueDisc::REST), 2, "what follows");
        }
    }

    void
    DoTeardown() override
    {
        Simulator::Destroy();
    }
};

/**
 * A queue that knows what fragments are.
 */
class FragmentQueueTestSuite : public TestSuite
{
  public:
    FragmentQueueTestSuite()
        : TestSuite("foreflow-fragment-queue", TestSuite::Type::UNIT)
    {
        for (const Discard discard : {ff::FragmentQueueDisc::NOTHING,
                                      ff::FragmentQueueDisc::PARTIAL,
                                      ff::FragmentQueueDisc::EARLY})
        {
            AddTestCase(new FragmentQueueModelTestCase(discard, true));
            AddTestCase(new FragmentQueueModelTestCase(discard, false));
        }
        AddTestCase(new FragmentQueueGoodputTestCase);
        AddTestCase(new FragmentQueueRulesTestCase);
    }
};

static FragmentQueueTestSuite g_fragmentQueueTestSuite; //!< registers itself

} // namespace tests
