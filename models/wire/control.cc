// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/control.h"

namespace foreflow::wire {
namespace {

// Reads and writes fields in order; bounds were checked for the whole struct.
class Reader {
 public:
  explicit Reader(const std::uint8_t* at) : at_(at) {}
  void operator()(std::uint8_t& field) { field = *at_++; }
  void operator()(std::uint16_t& field) { field = Load16(Step(2)); }
  void operator()(std::uint32_t& field) { field = Load32(Step(4)); }
  void operator()(std::uint64_t& field) { field = Load64(Step(8)); }
  void operator()(std::array<std::uint8_t, 16>& field) { field = LoadBytes<16>(Step(16)); }
  void operator()(bool& field) { field = Below(2) != 0; }
  void operator()(StatisticsKind& field) {
    field = static_cast<StatisticsKind>(Below(kLastStatisticsKind + 1));
  }
  void operator()(ControlType& field) { field = static_cast<ControlType>(OneTo(kLastControlType)); }
  void operator()(RefusalReason& field) { field = static_cast<RefusalReason>(OneTo(kLastRefusalReason)); }
  void Reserved(std::size_t bytes) {
    for (; bytes > 0; --bytes) is_valid_ = *at_++ == 0 && is_valid_;
  }
  const std::uint8_t* end() const { return is_valid_ ? at_ : nullptr; }

 private:
  const std::uint8_t* Step(std::size_t bytes) {
    at_ += bytes;
    return at_ - bytes;
  }
  std::uint8_t Below(std::uint8_t bound) {
    is_valid_ = is_valid_ && *at_ < bound;
    return *at_++;
  }
  std::uint8_t OneTo(std::uint8_t last) {
    is_valid_ = is_valid_ && *at_ != 0;
    return Below(static_cast<std::uint8_t>(last + 1));
  }

  const std::uint8_t* at_;
  bool is_valid_ = true;
};

class Writer {
 public:
  explicit Writer(std::uint8_t* at) : at_(at) {}
  void operator()(std::uint8_t field) { *at_++ = field; }
  void operator()(std::uint16_t field) { Store16(Step(2), field); }
  void operator()(std::uint32_t field) { Store32(Step(4), field); }
  void operator()(std::uint64_t field) { Store64(Step(8), field); }
  void operator()(const std::array<std::uint8_t, 16>& field) { StoreBytes(Step(16), field); }
  void operator()(bool field) { *at_++ = field ? 1 : 0; }
  void operator()(StatisticsKind field) { *at_++ = static_cast<std::uint8_t>(field); }
  void operator()(ControlType field) { *at_++ = static_cast<std::uint8_t>(field); }
  void operator()(RefusalReason field) { *at_++ = static_cast<std::uint8_t>(field); }
  void Reserved(std::size_t bytes) {
    for (; bytes > 0; --bytes) *at_++ = 0;
  }
  std::uint8_t* end() const { return at_; }

 private:
  std::uint8_t* Step(std::size_t bytes) {
    at_ += bytes;
    return at_ - bytes;
  }

  std::uint8_t* at_;
};

// Each layout once, for both ways. `Struct` is const where it is written.
template <typename Struct, typename Visitor>
void VisitHeader(Struct& header, Visitor& visit) {
  visit(header.version);
  visit(header.type);
  visit(header.length);
}

template <typename Struct, typename Visitor>
void VisitHello(Struct& hello, Visitor& visit) {
  visit(hello.instance);
  visit(hello.generation);
  visit(hello.digest);
  visit(hello.most_rules);
  visit(hello.most_batch_bytes);
}

template <typename Struct, typename Visitor>
void VisitRulePart(Struct& part, Visitor& visit) {
  visit(part.generation);
  visit(part.base);
  visit(part.base_digest);
  visit(part.digest);
  visit(part.part);
  visit(part.parts);
  visit(part.batch_bytes);
  visit(part.is_whole);
  visit.Reserved(3);
}

template <typename Struct, typename Visitor>
void VisitKeyRotation(Struct& rotation, Visitor& visit) {
  visit(rotation.number);
  visit(rotation.epoch);
  visit(rotation.key);
  visit(rotation.overlap_us);
}

template <typename Struct, typename Visitor>
void VisitProfile(Struct& profile, Visitor& visit) {
  visit(profile.number);
  visit(profile.vm);
  visit(profile.rows);
}

template <typename Struct, typename Visitor>
void VisitProfileRow(Struct& row, Visitor& visit) {
  visit(row.source_address);
  visit(row.destination_address);
  visit(row.source_port);
  visit(row.destination_port);
  visit(row.ip_protocol);
  visit(row.l3);
  visit(row.vlan);
  visit(row.confidence);
  visit(row.type_confidence);
  visit(row.packet_type);
  visit.Reserved(3);
  visit(row.horizon_us);
}

template <typename Struct, typename Visitor>
void VisitProfileRequest(Struct& request, Visitor& visit) {
  visit(request.number);
  visit(request.vm);
  visit.Reserved(2);
}

template <typename Struct, typename Visitor>
void VisitStatisticsRequest(Struct& request, Visitor& visit) {
  visit(request.number);
  visit(request.kind);
  visit.Reserved(3);
  visit(request.first);
}

template <typename Struct, typename Visitor>
void VisitStatisticsReport(Struct& report, Visitor& visit) {
  visit(report.number);
  visit(report.generation);
  visit(report.kind);
  visit.Reserved(1);
  visit(report.rows);
  visit(report.next);
}

template <typename Struct, typename Visitor>
void VisitStatisticsRow(Struct& row, Visitor& visit) {
  visit(row.id);
  visit(row.packets);
  visit(row.bytes);
}

template <typename Struct, typename Visitor>
void VisitAcknowledgement(Struct& ack, Visitor& visit) {
  visit(ack.instance);
  visit(ack.generation);
  visit(ack.digest);
  visit(ack.number);
  visit(ack.assembling);
  visit(ack.missing);
  visit(ack.received);
}

template <typename Struct, typename Visitor>
void VisitRefusal(Struct& refusal, Visitor& visit) {
  visit(refusal.reason);
  visit(refusal.text_bytes);
  visit.Reserved(2);
  visit(refusal.generation);
  visit(refusal.number);
  visit(refusal.rule);
}

}  // namespace

#define FOREFLOW_CODEC(Struct, Visit)                                                            \
  const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Struct& decoded) { \
    if (!Holds(at, end, Struct::kBytes)) return nullptr;                                         \
    Reader reader(at);                                                                           \
    Visit(decoded, reader);                                                                      \
    return reader.end();                                                                         \
  }                                                                                              \
  std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Struct& encoded) {       \
    if (!Holds(at, end, Struct::kBytes)) return nullptr;                                         \
    Writer writer(at);                                                                           \
    Visit(encoded, writer);                                                                      \
    return writer.end();                                                                         \
  }

FOREFLOW_CODEC(ControlHeader, VisitHeader)
FOREFLOW_CODEC(ControlHello, VisitHello)
FOREFLOW_CODEC(ControlRulePart, VisitRulePart)
FOREFLOW_CODEC(ControlKeyRotation, VisitKeyRotation)
FOREFLOW_CODEC(ControlProfile, VisitProfile)
FOREFLOW_CODEC(ControlProfileRow, VisitProfileRow)
FOREFLOW_CODEC(ControlProfileRequest, VisitProfileRequest)
FOREFLOW_CODEC(ControlStatisticsRequest, VisitStatisticsRequest)
FOREFLOW_CODEC(ControlStatisticsReport, VisitStatisticsReport)
FOREFLOW_CODEC(ControlStatisticsRow, VisitStatisticsRow)
FOREFLOW_CODEC(ControlAcknowledgement, VisitAcknowledgement)
FOREFLOW_CODEC(ControlRefusal, VisitRefusal)

#undef FOREFLOW_CODEC

const char* Name(RefusalReason reason) {
  static constexpr std::array<const char*, kLastRefusalReason> kNames = {
      "malformed", "version", "forbidden", "stale", "base", "too_large", "digest", "rule", "unsupported"};
  const auto index = static_cast<std::size_t>(reason) - 1;
  return index < kNames.size() ? kNames[index] : nullptr;
}

bool ReadControlHeader(BytesView message, ControlHeader& header, BytesView& body, bool& wrong_version) {
  wrong_version = message.size > 0 && message.data[0] != ControlHeader::kVersion;
  if (wrong_version || Decode(message.begin(), message.end(), header) == nullptr) return false;
  body = message.From(ControlHeader::kBytes);
  return body.size == header.length;
}

}  // namespace foreflow::wire
