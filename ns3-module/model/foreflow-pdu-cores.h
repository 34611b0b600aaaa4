// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_PDU_CORES_H
#define FOREFLOW_PDU_CORES_H

#include "foreflow-cores.h"

#include "models/impair/impairment.h"
#include "models/shard/unit.h"

/**
 * @file
 * @ingroup foreflow
 * The cores of packet dynamics units, for those who need them.
 */

namespace ns3
{
namespace foreflow
{

namespace crypto = ::foreflow::crypto;
namespace impair = ::foreflow::impair;
namespace shard = ::foreflow::shard;

using ::foreflow::MutableBytes;

} // namespace foreflow
} // namespace ns3

#endif // FOREFLOW_PDU_CORES_H
