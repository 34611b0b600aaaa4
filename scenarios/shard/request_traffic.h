// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_REQUEST_TRAFFIC_H_
#define FOREFLOW_SCENARIOS_SHARD_REQUEST_TRAFFIC_H_

#include <cstdint>
#include <functional>

#include "ns3/foreflow-request-client.h"
#include "scenarios/shard/shard_config.h"
#include "scenarios/shard/shard_topology.h"

namespace foreflow::scenarios {

// Is told of each request that was answered; clients count from 0.
using RequestDone = std::function<void(std::uint32_t client, const ns3::foreflow::RequestRecord& record)>;

// Gives the first host clients, as config.requests says, that ask a server of the second over ns-3's TCP,
// from 20 ms on. Sizes and times to think are the run's seed's: the n-th request of a client is the same in
// every arm. The hosts know each other's addresses. TCP has the timers of Linux: it waits 200 ms at the least
// before it sends again, and 40 ms at the most before it acknowledges. Sets ns-3's global defaults.
void InstallRequests(const ShardConfig& config, const std::array<ShardHost, 2>& hosts,
                     const RequestDone& done);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_REQUEST_TRAFFIC_H_
