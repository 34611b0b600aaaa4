// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_IMPAIRED_CHANNEL_H
#define FOREFLOW_IMPAIRED_CHANNEL_H

#include "foreflow-ethernet-channel.h"
#include "foreflow-pdu-cores.h"

#include "ns3/traced-callback.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace ns3
{
namespace foreflow
{

/**
 * @ingroup foreflow
 * A cable that loses, delays, reorders, repeats and changes frames, by models/impair: the queues,
 * losses and delays of a whole network in one element. What it delays comes on top of Delay, so
 * that ns-3's parallel engines may cut it as any other cable; each direction is looked after by the
 * node that sends.
 *
 * To the models a frame is a UDP datagram over IPv4: its size is what follows these headers (and 0
 * of a shorter one), and no byte of them is changed. Where a direction has several paths, a hash of
 * addresses and ports chooses one, as switches do. A marked frame that does not say that it heeds
 * marks passes as it is.
 */
class ImpairedChannel : public EthernetChannel
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static TypeId
    GetTypeId();

    ImpairedChannel();
    ~ImpairedChannel() override;

    /**
     * Until this is called, the cable passes everything.
     *
     * @param there of frames from the device that was attached first
     * @param back of frames from the other; impossible values throw ::foreflow::Refusal
     * @param seed of all random numbers
     * @param index tells cables of one seed apart
     */
    void
    Configure(const impair::ImpairmentConfig& there,
              const impair::ImpairmentConfig& back,
              uint64_t seed,
              uint32_t index = 0);

    /**
     * @param direction 0: from the device that was attached first; Configure has been called
     * @return what became of its frames
     */
    const impair::Impairment::Counts&
    GetCounts(std::size_t direction) const;

    void
    Transmit(Ptr<const Packet> frame, const FrameDevice* source, Time lastBit) override;

    /**
     * TracedCallback signature of Loss.
     *
     * @param frame that is lost
     * @param fate what became of it
     */
    typedef void (*LossTracedCallback)(Ptr<const Packet> frame, impair::Fate fate);
    /**
     * TracedCallback signature of Passage.
     *
     * @param frame that has been sent
     * @param direction as of GetCounts
     * @param passage what becomes of it; its times are without Delay
     */
    typedef void (*PassageTracedCallback)(Ptr<const Packet> frame,
                                          std::size_t direction,
                                          const impair::Passage& passage);

  private:
    std::array<std::optional<impair::Impairment>, 2> m_impairments; //!< by direction
    std::array<std::vector<uint8_t>, 2> m_bytes; //!< a frame, serialised, by direction
    TracedCallback<Ptr<const Packet>, impair::Fate> m_lossTrace; //!< a frame is lost
    TracedCallback<Ptr<const Packet>, std::size_t, const impair::Passage&>
        m_passageTrace; //!< what becomes of a frame
};

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_IMPAIRED_CHANNEL_H
