// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_FLOW_FLOW_TABLE_H_
#define FOREFLOW_MODELS_FLOW_FLOW_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/flow/expiry_wheel.h"
#include "models/flow/flow_index.h"
#include "models/flow/flow_key.h"
#include "models/flow/tcp_state.h"

namespace foreflow::flow {

// What is known of a flow.
struct FlowRecord {
  FlowKey key;
  Nanos first;  // time of the first packet
  Nanos last;   // time of the last packet
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // on the wire
  Phase phase = Phase::kNew;
};

struct FlowTableConfig {
  std::size_t capacity = 0;  // flows, 1 .. 2^30
  std::size_t vms = 1;       // tenants, 1 .. 65536 and <= capacity; a VM beyond them is accounted as VM 0
  Timeouts timeouts;         // each 0 .. 24 days (2^31 ticks)
  Nanos tick = Millis(1);    // grain of expiry
  Nanos start;               // time of the wheel's first tick
  std::uint64_t seed = 0;    // of the hash; guests must not know it where they can choose their keys
};

// The flows in progress: bounded memory for all and for each VM, the same on every machine for the same
// calls.
//
// A new flow is never refused. Each VM is sure of capacity / vms flows; beyond that it borrows what is free.
// When the table is full, a newcomer whose VM holds its share or more takes the place of a flow of its own
// VM, else of a flow of the VM that holds most (so it takes back what was borrowed): a VM within its share
// never loses a flow to another. The flow that goes is, of the next four of that VM in turn (in order of
// insertion), the one that would expire first; so half-open and closed connections go before established
// ones.
//
// A flow expires when nothing was seen of it for the timeout of its phase, at the first tick after that. A
// packet restarts the timeout by writing its time only: the timer looks when it fires.
//
// At most 128 bytes a flow. No allocation after construction. Not for use by several threads at once.
class FlowTable {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit FlowTable(const FlowTableConfig& config);

  // kNoSlot where the flow is not held. Does not account a packet.
  Slot Find(const FlowKey& key, Work& work) const { return index_.Find(key, work); }
  void FindBulk(const FlowKey* keys, std::size_t count, Slot* slots, Work& work) const {
    index_.FindBulk(keys, count, slots, work);
  }

  // Starts fetching the memory of up to kBurst flows, ahead of FindOrInsert, Observe or Erase of each.
  // Changes nothing but the time they take.
  void Prefetch(const FlowKey* keys, std::size_t count) const;

  struct Inserted {
    Slot slot = kNoSlot;
    bool fresh = false;    // not in the table before
    bool evicted = false;  // another flow had to go: its slot is this one's now
  };
  // Finds the flow, or begins it at `now` with no packets. Where a flow had to go and `gone` is not null, its
  // record is written there.
  Inserted FindOrInsert(const FlowKey& key, Nanos now, Work& work, FlowRecord* gone = nullptr);

  // Accounts one packet to a flow that is held: time, length, connection state.
  void Observe(Slot slot, Nanos now, std::uint32_t wire_bytes, const ConnectionPacket& packet, Work& work);

  // Removes a flow; false when it is not held.
  bool Erase(const FlowKey& key, Work& work);

  // Removes the next flow that has expired by `now`, in order of expiry; false when there is none. Call until
  // then.
  bool Expire(Nanos now, FlowRecord& gone, Work& work);

  // Of a flow that is held.
  FlowRecord record(Slot slot) const;
  // Flows in order of insertion: for (Slot s = t.First(); s != kNoSlot; s = t.After(s)).
  Slot First() const { return oldest_; }
  Slot After(Slot slot) const { return cold_[slot].order.next; }

  std::size_t size() const { return index_.size(); }
  std::size_t capacity() const { return index_.capacity(); }
  // Flows held of one VM, and the number it is sure of.
  std::size_t size_of(VmId vm) const { return count_[AccountOf(vm)]; }
  std::size_t share() const { return share_; }
  // Memory in all, which does not grow.
  std::size_t bytes() const;

 private:
  struct Neighbours {
    Slot previous = kNoSlot;
    Slot next = kNoSlot;
  };
  // What is not touched by every packet.
  struct Cold {
    Neighbours order;  // all flows, in order of insertion
    Neighbours ring;   // the flows of one VM, in order of insertion from its hand on
    Nanos first;
    ConnectionState connection;
  };
  static_assert(sizeof(Cold) == 40);

  std::size_t AccountOf(VmId vm) const { return vm < count_.size() ? vm : 0; }
  Nanos Deadline(Slot slot) const;
  Slot ChooseVictim(VmId newcomer, Work& work);
  void Link(Slot slot);
  void Remove(Slot slot, Work& work);

  FlowIndex index_;
  ExpiryWheel wheel_;
  Timeouts timeouts_;
  std::vector<Cold> cold_;
  std::vector<std::uint32_t> count_;  // flows of each VM
  std::vector<Slot> hand_;            // of each VM: where the search for a flow to evict goes on
  std::size_t share_;
  Slot oldest_ = kNoSlot;
  Slot newest_ = kNoSlot;
};

}  // namespace foreflow::flow

#endif  // FOREFLOW_MODELS_FLOW_FLOW_TABLE_H_
