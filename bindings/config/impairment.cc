// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/impairment.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace foreflow::config {
namespace {

constexpr std::size_t kMostPaths = 16;
constexpr double kHourUs = 3.6e9;
constexpr double kHourMs = 3.6e6;

// Reads keys that may be left out.
class Optional {
 public:
  explicit Optional(const Value& value) : object_(value) {}

  void Share(const char* key, double& to) { Number(key, 0, 1, to); }
  void Number(const char* key, double low, double high, double& to) {
    if (object_.Has(key)) to = object_.Get(key).Number(low, high);
  }
  void Count(const char* key, std::uint64_t most, std::size_t& to) {
    if (object_.Has(key)) to = static_cast<std::size_t>(object_.Get(key).Unsigned(0, most));
  }
  void Kilobytes(const char* key, std::size_t& to) {
    constexpr double kMost = 1e6;
    if (object_.Has(key))
      to = static_cast<std::size_t>(std::llround(object_.Get(key).Number(0, kMost) * 1000));
  }
  void Time(const char* key, double most, double nanos, Nanos& to) {
    if (object_.Has(key)) to = Nanos(std::llround(object_.Get(key).Number(0, most) * nanos));
  }
  void Micro(const char* key, Nanos& to) { Time(key, kHourUs, 1e3, to); }
  void Milli(const char* key, Nanos& to) { Time(key, kHourMs, 1e6, to); }
  Object& object() { return object_; }

 private:
  Object object_;
};

impair::BurstLoss ReadBurst(const Value& value) {
  impair::BurstLoss burst;
  Optional reader(value);
  reader.Share("to_bad", burst.to_bad);
  reader.Share("to_good", burst.to_good);
  reader.Milli("good_ms", burst.good);
  reader.Milli("bad_ms", burst.bad);
  reader.Share("loss_good", burst.loss_good);
  reader.Share("loss_bad", burst.loss_bad);
  reader.object().End();
  if ((burst.good > Nanos()) != (burst.bad > Nanos())) {
    value.Refuse("good_ms and bad_ms both above 0, or neither");
  }
  return burst;
}

impair::PathConfig ReadPath(const Value& value) {
  impair::PathConfig path;
  Optional reader(value);
  Object& object = reader.object();
  if (object.Has("rate_mbps")) {
    const double mbps = object.Get("rate_mbps").Number(0, 1e6);
    path.rate = BitsPerSecond(static_cast<std::uint64_t>(std::llround(mbps * 1e6)));
  }
  reader.Kilobytes("queue_kb", path.queue_bytes);
  reader.Kilobytes("mark_kb", path.mark_bytes);
  reader.Count("largest_bytes", 65'535, path.largest_bytes);
  reader.Share("loss", path.loss);
  if (object.Has("burst")) path.burst = ReadBurst(object.Get("burst"));
  reader.Share("bit_errors", path.bit_errors);
  reader.Micro("delay_us", path.delay);
  reader.Micro("jitter_us", path.jitter);
  if (object.Has("jitter_shape")) {
    path.shape =
        static_cast<impair::JitterShape>(object.Get("jitter_shape").Choice({"uniform", "exponential"}));
  }
  if (object.Has("keeps_order")) path.keeps_order = object.Get("keeps_order").Boolean();
  reader.Share("late", path.late);
  reader.Micro("late_least_us", path.late_least);
  reader.Micro("late_most_us", path.late_most);
  reader.Share("duplicate", path.duplicate);
  reader.Micro("duplicate_after_us", path.duplicate_after);
  reader.Share("corrupt", path.corrupt);
  object.End();
  return path;
}

}  // namespace

impair::ImpairmentConfig ReadImpairment(const Value& value) {
  impair::ImpairmentConfig config;
  Optional reader(value);
  Object& object = reader.object();
  if (object.Has("paths")) {
    const Value paths = object.Get("paths");
    config.paths.clear();
    for (const Value& path : paths.Array(kMostPaths)) config.paths.push_back(ReadPath(path));
    if (config.paths.empty()) paths.Refuse("a list of one or more paths");
  }
  reader.Count("framing_bytes", 1024, config.framing_bytes);
  object.End();
  return config;
}

}  // namespace foreflow::config
