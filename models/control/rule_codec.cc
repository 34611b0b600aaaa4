// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/rule_codec.h"

#include <algorithm>

#include "models/wire/be.h"

namespace foreflow::control {
namespace {

constexpr std::size_t kHeadBytes = 4;
constexpr std::uint8_t kLastOperation = static_cast<std::uint8_t>(rules::RuleOperation::kErase);
constexpr std::uint8_t kLastVerb = static_cast<std::uint8_t>(rules::Verb::kTrap);
constexpr std::uint8_t kMostPrefix = 128;

class Writer {
 public:
  explicit Writer(std::vector<std::uint8_t>& out) : out_(out) {}
  void operator()(std::uint8_t field) { out_.push_back(field); }
  void operator()(bool field) { out_.push_back(field ? 1 : 0); }
  void operator()(rules::Verb field) { out_.push_back(static_cast<std::uint8_t>(field)); }
  void operator()(std::uint16_t field) { wire::Store16(Grow(2), field); }
  void operator()(std::uint32_t field) { wire::Store32(Grow(4), field); }
  void operator()(std::int32_t field) { wire::Store32(Grow(4), static_cast<std::uint32_t>(field)); }
  void operator()(const rules::PortRange& field) {
    (*this)(field.low);
    (*this)(field.high);
  }
  void operator()(const rules::Prefix& field) {
    const std::uint8_t length = std::min(field.length, kMostPrefix);
    out_.push_back(field.length);
    const std::size_t whole = length / 8, bits = length % 8;
    out_.insert(out_.end(), field.address.begin(),
                field.address.begin() + static_cast<std::ptrdiff_t>(whole));
    if (bits > 0) out_.push_back(static_cast<std::uint8_t>(field.address[whole] & 0xff00 >> bits));
  }

 private:
  std::uint8_t* Grow(std::size_t bytes) {
    out_.resize(out_.size() + bytes);
    return out_.data() + out_.size() - bytes;
  }

  std::vector<std::uint8_t>& out_;
};

class Reader {
 public:
  explicit Reader(BytesView in) : at_(in.begin()), end_(in.end()) {}
  void operator()(std::uint8_t& field) { field = Byte(0xff); }
  void operator()(bool& field) { field = Byte(1) != 0; }
  void operator()(rules::Verb& field) { field = static_cast<rules::Verb>(Byte(kLastVerb)); }
  void operator()(std::uint16_t& field) {
    if (const std::uint8_t* at = Take(2)) field = wire::Load16(at);
  }
  void operator()(std::uint32_t& field) {
    if (const std::uint8_t* at = Take(4)) field = wire::Load32(at);
  }
  void operator()(std::int32_t& field) {
    if (const std::uint8_t* at = Take(4)) field = static_cast<std::int32_t>(wire::Load32(at));
  }
  void operator()(rules::PortRange& field) {
    (*this)(field.low);
    (*this)(field.high);
  }
  void operator()(rules::Prefix& field) {
    field.length = Byte(kMostPrefix);
    const std::size_t bytes = (field.length + 7u) / 8u;
    field.address = {};
    const std::uint8_t* at = Take(bytes);
    if (at == nullptr) return;
    std::copy(at, at + bytes, field.address.begin());
    if (field.length % 8 != 0 && (at[bytes - 1] & 0xff >> field.length % 8) != 0) is_valid_ = false;
  }
  bool HasReadAll() const { return is_valid_ && at_ == end_; }

 private:
  const std::uint8_t* Take(std::size_t bytes) {
    is_valid_ = is_valid_ && static_cast<std::size_t>(end_ - at_) >= bytes;
    if (!is_valid_) return nullptr;
    at_ += bytes;
    return at_ - bytes;
  }
  std::uint8_t Byte(std::uint8_t last) {
    const std::uint8_t* at = Take(1);
    if (at == nullptr) return 0;
    is_valid_ = *at <= last;
    return is_valid_ ? *at : std::uint8_t{0};
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool is_valid_ = true;
};

// The layout, for both ways: a rule's new field is one line here, and a new kRuleLayout.
template <typename Rule, typename Visitor>
void Visit(Rule& rule, Visitor& visit) {
  visit(rule.id);
  visit(rule.priority);
  visit(rule.l3);
  visit(rule.vm);
  visit(rule.ip_protocol);
  visit(rule.source_port);
  visit(rule.destination_port);
  visit(rule.vlan);
  visit(rule.vlan_priority);
  visit(rule.action.verb);
  visit(rule.action.mirror);
  visit(rule.action.queue);
  visit(rule.action.shard);
  visit(rule.action.meter);
  visit(rule.action.change);
  visit(rule.source);
  visit(rule.destination);
}

}  // namespace

void Append(const rules::RuleChange& change, std::vector<std::uint8_t>& batch) {
  const std::size_t start = batch.size();
  batch.resize(start + kHeadBytes);
  Writer writer(batch);
  if (change.operation == rules::RuleOperation::kErase) {
    writer(change.rule.id);
  } else {
    Visit(change.rule, writer);
  }
  batch[start] = static_cast<std::uint8_t>(change.operation);
  batch[start + 1] = kRuleLayout;
  wire::Store16(&batch[start + 2], static_cast<std::uint16_t>(batch.size() - start - kHeadBytes));
}

std::size_t Read(BytesView batch, rules::RuleChange& change) {
  if (batch.size < kHeadBytes || batch.data[0] > kLastOperation || batch.data[1] != kRuleLayout) return 0;
  const std::size_t length = wire::Load16(batch.data + 2);
  if (batch.size - kHeadBytes < length) return 0;
  change = {};
  change.operation = static_cast<rules::RuleOperation>(batch.data[0]);
  Reader reader(batch.From(kHeadBytes).First(length));
  if (change.operation == rules::RuleOperation::kErase) {
    reader(change.rule.id);
  } else {
    Visit(change.rule, reader);
  }
  return reader.HasReadAll() ? kHeadBytes + length : 0;
}

}  // namespace foreflow::control
