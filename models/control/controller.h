// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_CONTROLLER_H_
#define FOREFLOW_MODELS_CONTROL_CONTROLLER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "models/base/units.h"
#include "models/control/messages.h"
#include "models/control/rule_set_state.h"
#include "models/rules/rule_batch.h"

namespace foreflow::control {

// Ranges are the caller's to keep.
struct ControllerConfig {
  Nanos update_interval{0};           // least time between two batches; changes in between travel together
  bool is_constant_work = false;      // the whole set at every interval, whatever changed
  Nanos retransmit = Millis(200);     // what is not answered is sent again; doubles up to 16 times this
  Nanos hello_interval = Seconds(1);  // how often a silent device is asked for its state
  std::uint32_t window = 64;          // parts under way, 1..64
  std::size_t most_requests = 1024;   // that wait for their turn
};

// What a controller learnt, in order.
struct ControllerEvent {
  enum class Kind : std::uint8_t {
    kInForce,  // the device decides by `generation` now
    kRefused,  // the device refused the batch `generation` or the request `number`: `refusal`, `sentence`
    kDone,     // the request `number` was done
    kReport,   // statistics: `report`, `rows`
    kProfile,  // of a VM: `vm`, `profile`
  };
  Kind kind = Kind::kInForce;
  std::uint64_t generation = 0;
  std::uint64_t number = 0;
  wire::ControlRefusal refusal;
  std::string sentence;
  wire::ControlStatisticsReport report;
  std::vector<wire::ControlStatisticsRow> rows;
  std::uint16_t vm = 0;
  std::vector<wire::ControlProfileRow> profile;
};

// The controller's end of the control protocol, for one device: no sockets, no clock. It holds the rules that
// the device should have, sends what is missing as batches of changes (or whole sets, after a restart of
// either side, or always), one batch under way at a time, and sends again until the device says that it is in
// force.
class Controller {
 public:
  // `instance` is later than that of every controller that this peer was before: doors give UTC in
  // nanoseconds.
  Controller(const ControllerConfig& config, std::uint64_t instance);

  // What the device should have; until something is said here, it is left as it is. False and no change: see
  // RuleSetState::Apply.
  bool Change(const rules::RuleChange& change);
  // The same for all rules at once; ids differ.
  void Replace(const std::vector<rules::Rule>& rules);
  const RuleSetState& wanted() const { return wanted_; }

  // Requests: done once, one after the other; what came of one is an event with its number. They return that
  // number, or 0 where too many wait. The rotation's own number is overwritten.
  std::uint64_t RotateKeys(wire::ControlKeyRotation rotation);
  // kMostProfileRows at most; 0 also where there are more.
  std::uint64_t SendProfile(std::uint16_t vm, const std::vector<wire::ControlProfileRow>& rows);
  std::uint64_t ReadProfile(std::uint16_t vm);
  // One report, of ids from `first` on: its `next` says where to go on.
  std::uint64_t ReadStatistics(wire::StatisticsKind kind, std::uint32_t first);

  // The channel to the device is up (again).
  void Connected(Nanos now, const Send& send);
  // Nothing can be sent.
  void Disconnected();
  // One message of the device. `send` is called from within, as in Connected and Tick.
  void Input(BytesView message, Nanos now, const Send& send);
  // What is due at `now`; call it after changes as well.
  void Tick(Nanos now, const Send& send);
  // When Tick has something to do next; far in the future where nothing is.
  Nanos NextTick() const;

  // Takes the oldest event that nobody has taken; false where there is none. 4096 are kept, the newest.
  bool TakeEvent(ControllerEvent& event);
  // Whether the device said that it has what it should, and nothing else is under way.
  bool IsInForce() const;
  // Of what the device said it has; the last that was sent, 0 before the first.
  std::uint64_t generation() const { return held_generation_; }
  std::uint64_t last_issued() const { return last_issued_; }
  // The device's bounds, 0 until it has said hello.
  std::uint32_t device_most_rules() const { return most_rules_; }

  // Since it was made.
  struct Counts {
    std::uint64_t batches = 0;    // issued
    std::uint64_t whole = 0;      // of them, whole sets
    std::uint64_t messages = 0;   // sent
    std::uint64_t bytes = 0;      // of messages sent
    std::uint64_t parts = 0;      // sent, repetitions included
    std::uint64_t malformed = 0;  // answers that could not be read
    std::uint64_t refused = 0;    // refusals received
  };
  const Counts& counts() const { return counts_; }

 private:
  // The batch under way.
  struct Flight {
    wire::ControlRulePart description;
    std::vector<std::uint8_t> bytes;
    std::vector<rules::RuleChange> changes;
    std::vector<bool> has;      // parts that the device has
    std::uint32_t missing = 0;  // the first it has not
    std::uint32_t next = 0;     // never sent from here on
    Nanos again{0};             // when to send what is missing again
    Nanos wait{0};
  };
  struct Request {
    std::uint64_t number = 0;
    std::vector<std::uint8_t> message;
  };

  void SendMessage(BytesView message, const Send& send);
  void SayHello(Nanos now, const Send& send);
  void LearnState(std::uint64_t instance, std::uint64_t generation, const wire::SetDigest& digest, Nanos now);
  void TakeAcknowledgement(BytesView body, Nanos now, const Send& send);
  void TakeRefusal(BytesView body, Nanos now, const Send& send);
  void TakeReport(BytesView body, Nanos now, const Send& send);
  void TakeProfile(BytesView body, Nanos now, const Send& send);
  // Of the request that the device answered, if it is the one under way.
  void TakeAnswer(ControllerEvent event, Nanos now, const Send& send);
  // The device has what it should already.
  void Adopt();
  void Land();
  // Gives the batch up; what the device has is as if it had never left.
  void Cancel();
  bool WantsBatch() const;
  void Issue(Nanos now, const Send& send);
  void Restart(Flight& flight);
  void SendParts(Nanos now, const Send& send);
  void SendPart(std::uint32_t part, const Send& send);
  void SendAgain(Nanos now, const Send& send);
  std::uint64_t Queue(std::uint64_t number, BytesView message);
  void SendRequest(Nanos now, const Send& send);
  void FinishRequest();

  ControllerConfig config_;
  RuleSetState wanted_;
  bool has_wish_ = false;  // somebody said what the device should have
  RuleSetState held_;      // by the device, as far as is_known_
  bool is_known_ = false;
  std::set<std::uint32_t> touched_;  // ids where wanted_ and held_ may differ, besides those under way
  bool has_state_ = false;           // the device has said what follows
  std::uint64_t held_generation_ = 0;
  wire::SetDigest held_digest_{};
  std::uint64_t device_instance_ = 0;
  std::uint32_t most_rules_ = 0;
  std::uint64_t last_issued_ = 0;
  std::optional<Flight> flight_;
  Nanos next_batch_{0};
  bool is_blocked_ = false;  // the device refused this set: wait until another is wanted

  bool is_connected_ = false;
  bool has_heard_ = false;  // since it was connected
  Nanos next_hello_{0};
  Nanos hello_wait_{0};

  std::uint64_t last_number_;
  std::deque<Request> requests_;  // the first is under way
  Nanos request_again_{0};
  Nanos request_wait_{0};

  std::deque<ControllerEvent> events_;
  MessageBuilder builder_;
  Counts counts_;
};

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_CONTROLLER_H_
