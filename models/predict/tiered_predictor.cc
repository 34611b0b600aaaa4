// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/tiered_predictor.h"

#include <algorithm>
#include <cstring>

#include "models/base/hash.h"
#include "models/base/refusal.h"
#include "models/predict/conformal.h"

namespace foreflow::predict {
namespace {

constexpr const char* kTask = "next-type";

bool IsTypeHead(const Head& head, const std::string& target) {
  if (head.target != target || head.classes.size() != kPacketTypes) return false;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    if (head.classes[i] != Name(static_cast<PacketType>(i))) return false;
  }
  return true;
}

// Columns `first` to `first` + kPacketTypes - 1 of each row, or these elements where there is one row alone.
std::vector<float> ColumnsOf(const std::vector<float>& values, std::size_t width, std::size_t first) {
  std::vector<float> kept;
  for (std::size_t row = 0; row * width < values.size(); ++row) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(row * width + first);
    kept.insert(kept.end(), from, from + kPacketTypes);
  }
  return kept;
}

// The model without its other heads, whose outputs nobody reads here. Golden sequences go with them.
Model OnlyTypes(const Model& model, const std::string& target) {
  Model kept = model;
  std::size_t first = 0;
  const auto head = std::find_if(model.heads.begin(), model.heads.end(), [&](const Head& each) {
    if (IsTypeHead(each, target)) return true;
    first += each.outputs();
    return false;
  });
  kept.heads = {*head};
  kept.goldens.clear();
  const std::size_t outputs = model.outputs();
  for (Tensor& tensor : kept.tensors) {
    if (tensor.name == "head_weight") {
      const std::size_t width = tensor.shape[1];
      const auto from = tensor.value.begin() + static_cast<std::ptrdiff_t>(first * width);
      tensor.value = std::vector<float>(from, from + static_cast<std::ptrdiff_t>(kPacketTypes * width));
      tensor.shape[0] = kPacketTypes;
    } else if (tensor.name == "head_bias") {
      tensor.value = ColumnsOf(tensor.value, outputs, first);
      tensor.shape[0] = kPacketTypes;
    } else if (tensor.name == "output") {
      tensor.value = ColumnsOf(tensor.value, outputs, first);
      tensor.shape[1] = kPacketTypes;
    }
  }
  return kept;
}

void Write(const std::array<float, kPacketTypes>& output, Tier tier, Reading& reading) {
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    reading.probability[i] = static_cast<std::uint32_t>(output[i] * 65536.0F + 0.5F);
  }
  reading.tier = tier;
}

}  // namespace

void RequireTypes(const Model& model, const std::string& where, bool is_table, const std::string& target) {
  RequireUse(model, where, kTask, kSequenceFeatureSet);
  if (model.kind == ModelKind::kTrees) {
    throw Refusal(where, "kind", Name(model.kind), "gru, lstm, mlp and automaton");
  }
  if (is_table != (model.kind == ModelKind::kAutomaton)) {
    throw Refusal(where, "kind", Name(model.kind), is_table ? "automaton" : "gru, lstm and mlp");
  }
  if (model.symbols != kSequenceSymbols) {
    throw Refusal(where, "symbols", std::to_string(model.symbols), std::to_string(kSequenceSymbols));
  }
  if (model.inputs != 0 && model.inputs != kSequenceInputs) {
    throw Refusal(where, "inputs", std::to_string(model.inputs), "0 and " + std::to_string(kSequenceInputs));
  }
  if (std::none_of(model.heads.begin(), model.heads.end(),
                   [&](const Head& head) { return IsTypeHead(head, target); })) {
    throw Refusal(where + ": no head is of the target " + target +
                  " with the seven packet types; train one with `./foreflow train next-type`");
  }
}

TieredPredictor::Served TieredPredictor::Serve(const Model* model, const std::string& target) {
  Served served;
  if (model == nullptr) return served;
  served.model = MakeSequenceModel(OnlyTypes(*model, target));
  // Every step of a kind costs the same.
  std::vector<Line> state((served.model->state_bytes() + sizeof(Line) - 1) / sizeof(Line) + 1);
  const std::array<float, kSequenceInputs> inputs{};
  std::array<float, kPacketTypes> output{};
  ModelStep step;
  step.state = state.data();
  step.inputs = served.model->inputs() == 0 ? nullptr : inputs.data();
  served.model->Step(&step, 1, served.step);
  step.output = output.data();
  served.model->Step(&step, 1, served.reading);
  return served;
}

Work WorkOfReading(const Model& model) {
  return TieredPredictor::Serve(&model, TieredConfig().target).reading;
}

TieredPredictor::TieredPredictor(const TieredConfig& config)
    : table_(Serve(config.table.get(), config.target)),
      network_(Serve(config.network.get(), config.target)),
      tiers_(config.table != nullptr && config.network != nullptr),
      slots_(config.conversations),
      slot_(slots_.size()),
      sender_(std::size_t{config.vms} + 1),
      unseen_(tiers_ ? slots_.size() * kUnseen : 0),
      bucket_(config.readings_per_second, kReadingsBurst),
      mixture_(std::size_t{config.vms} + 1) {
  if (network_.model == nullptr) return;
  lines_ = (network_.model->state_bytes() + sizeof(Line) - 1) / sizeof(Line);
  network_state_.resize(slots_.size() * lines_);
  const std::size_t steps = kBurst * (tiers_ ? kUnseen : 1);
  pending_.step.resize(steps);
  pending_.inputs.resize(steps);
}

void TieredPredictor::Read(const Item* items, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const Item& item = items[i];
    const std::uint32_t index = Enter(item);
    Slot& slot = slot_[index];
    const Nanos arrival = item.packet == nullptr ? item.arrival : item.packet->arrival;
    const bool is_birth = slot.packets < kBirth;
    const bool is_pause = slot.packets > 0 && arrival > slot.features.last_arrival + kPause;
    SequenceInputs inputs;
    if (item.packet == nullptr) {
      inputs = *item.inputs;
      slot.features.last_arrival = arrival;
    } else {
      const flow::VmId vm = item.packet->key.vm;
      SequenceStep(*item.packet, item.direction, slot.features, sender_[vm < sender_.size() ? vm : 0],
                   inputs);
    }
    if (slot.packets < UINT32_MAX) ++slot.packets;
    item.work->Add(WorkItem::kUpdate, 2);
    item.reading->tier = Tier::kLearned;
    if (table_.model == nullptr) {
      PushStep(index, inputs, item.is_wanted ? &item : nullptr, *item.work);
      continue;
    }
    const std::uint32_t surest = ReadTable(item, slot, inputs);
    if (!tiers_) continue;
    Remember(index, inputs);
    item.work->Add(WorkItem::kCacheLine);
    const bool is_asked = item.is_wanted && (is_birth || is_pause || surest < kSure);
    if (is_asked && bucket_.Take(item.now)) CatchUp(item, index);
  }
  RunNetwork();
}

// The slot of the packet's conversation, emptied if it was another's.
std::uint32_t TieredPredictor::Enter(const Item& item) {
  const ConversationSlots::Found found = slots_.FindOrTake(item.hash, shown_++);
  item.work->Add(WorkItem::kProbe);
  item.work->Add(WorkItem::kCacheLine, 2);
  if (!found.is_new || slot_[found.slot].packets == 0) return found.slot;
  slot_[found.slot] = Slot{};
  if (lines_ == 0) return found.slot;
  std::uint8_t* const state = NetworkState(found.slot);
  const auto end = pending_.step.begin() + static_cast<std::ptrdiff_t>(pending_.steps);
  const bool waits =
      std::any_of(pending_.step.begin(), end, [&](const ModelStep& step) { return step.state == state; });
  if (waits) RunNetwork();
  std::memset(state, 0, lines_ * sizeof(Line));
  return found.slot;
}

std::uint32_t TieredPredictor::ReadTable(const Item& item, Slot& slot, const SequenceInputs& inputs) {
  std::array<float, kPacketTypes> output;
  ModelStep step;
  step.state = slot.table_state.data();
  step.symbol = inputs.symbol;
  step.inputs = table_.model->inputs() == 0 ? nullptr : inputs.value.data();
  step.output = item.is_wanted ? output.data() : nullptr;
  table_.model->Step(&step, 1, *item.work);
  if (!item.is_wanted) return 0;
  Write(output, Tier::kTable, *item.reading);
  return *std::max_element(item.reading->probability.begin(), item.reading->probability.end());
}

void TieredPredictor::Remember(std::uint32_t index, const SequenceInputs& inputs) {
  Slot& slot = slot_[index];
  unseen_[index * kUnseen + slot.unseen_next] = inputs;
  slot.unseen_next = static_cast<std::uint8_t>((slot.unseen_next + 1u) % kUnseen);
  if (slot.unseen < kUnseen) {
    ++slot.unseen;
  } else {
    slot.network_is_behind = true;
  }
}

void TieredPredictor::CatchUp(const Item& item, std::uint32_t index) {
  Slot& slot = slot_[index];
  if (slot.network_is_behind) {
    // What waits in the present batch was read from the state that ends here.
    RunNetwork();
    std::memset(NetworkState(index), 0, lines_ * sizeof(Line));
  }
  for (std::uint8_t left = slot.unseen; left > 0; --left) {
    const std::size_t at = (slot.unseen_next + kUnseen - left) % kUnseen;
    PushStep(index, unseen_[index * kUnseen + at], left == 1 ? &item : nullptr, *item.work);
  }
  item.work->Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(slot.unseen * sizeof(SequenceInputs) / 64));
  slot.unseen = 0;
  slot.network_is_behind = false;
}

void TieredPredictor::PushStep(std::uint32_t index, const SequenceInputs& inputs, const Item* asks,
                               Work& work) {
  ModelStep& step = pending_.step[pending_.steps];
  SequenceInputs& kept = pending_.inputs[pending_.steps];
  ++pending_.steps;
  kept = inputs;
  step.state = lines_ == 0 ? nullptr : NetworkState(index);
  step.symbol = inputs.symbol;
  step.inputs = network_.model->inputs() == 0 ? nullptr : kept.value.data();
  step.output = nullptr;
  work += asks == nullptr ? network_.step : network_.reading;
  if (asks == nullptr) return;
  step.output = pending_.output[pending_.outputs].data();
  pending_.reading[pending_.outputs++] = asks->reading;
}

void TieredPredictor::RunNetwork() {
  if (pending_.steps == 0) return;
  Work counted_by_push;
  network_.model->Step(pending_.step.data(), pending_.steps, counted_by_push);
  for (std::size_t i = 0; i < pending_.outputs; ++i) {
    Write(pending_.output[i], Tier::kNetwork, *pending_.reading[i]);
  }
  pending_.steps = 0;
  pending_.outputs = 0;
}

Prediction TieredPredictor::Predict(const Reading& reading, flow::VmId vm, const Context& context,
                                    TypeGuess& guess, Work& work) const {
  return mixture_[vm].Predict(reading, context, calibrator_, guess, work);
}

bool TieredPredictor::Learn(TypeGuess& guess, flow::VmId vm, const Context& context, std::uint64_t packet,
                            PacketType truth, Nanos now, Work& work) {
  if (Mix64(packet) % kTempering == 0) {
    calibrator_.Learn(guess.Mixed(), truth);
    work.Add(WorkItem::kMultiplyAdd, 4 * kPacketTypes);
    work.Add(WorkItem::kUpdate);
  }
  const bool alarm = mixture_[vm].Learn(context, packet, truth, guess, work);

  const auto type = static_cast<std::size_t>(truth);
  const auto loss = [&](const TypeGuess::Shares& shares) {
    return static_cast<std::uint32_t>(ClassScore(shares[type]));
  };
  ScoreHistory::Cell& cell = history_.At(now);
  ++cell.predicted[static_cast<std::size_t>(guess.Predicted())];
  cell.loss += loss(guess.said);
  cell.model_loss += loss(guess.reading);
  if (alarm) ++cell.alarms;
  if (!TypeMixture::Compares(packet)) return alarm;
  ++cell.compared;
  cell.fallback_loss += loss(guess.fallback);
  return alarm;
}

std::size_t TieredPredictor::bytes() const {
  std::size_t learnt = 0;
  for (const TypeMixture& mixture : mixture_) learnt += mixture.bytes();
  return sizeof(*this) + learnt + slots_.bytes() + slot_.size() * sizeof(Slot) +
         sender_.size() * sizeof(SenderState) + unseen_.size() * sizeof(SequenceInputs) +
         network_state_.size() * sizeof(Line);
}

}  // namespace foreflow::predict
