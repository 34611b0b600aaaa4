// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python/module.h"
#include "bindings/python/network.h"
#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/impair/delay_line.h"
#include "models/impair/impairment.h"
#include "models/shard/loss_filter.h"
#include "models/shard/loss_predictor.h"
#include "models/shard/loss_table.h"

namespace foreflow::python {
namespace {

// A number that was found missing, what was known then, and what became of it.
struct LossRow {
  std::int64_t found_ns;     // since the first sending
  std::int64_t settled_ns;   // when the receiver knows what became of it
  std::int64_t late_ns;      // from found to its arrival; -1 where it was lost
  std::uint64_t number;      // of those that went by its path
  std::uint32_t run, since;  // GapSigns
  std::uint8_t path;
  std::uint8_t context;  // of LossPredictor
  std::uint8_t is_lost;
  double share;      // how likely it is lost, by LossPredictor
  double posterior;  // by LossFilter, which knows the channel; NaN where it has no law
};

using Times = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Numbers = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>;
using Recorded = std::pair<Times, Numbers>;
constexpr std::uint64_t kMostNumbers = std::uint64_t{1} << 26;

// Numbers on their way from a sender to a receiver, and the rows of those that the receiver misses: each path
// by itself, with numbers of its own.
class LossTrace {
 public:
  LossTrace(const std::vector<py::dict>& paths, std::uint64_t seed, std::size_t packets,
            std::size_t fragments, std::size_t bytes, std::int64_t gap, std::int64_t round_trip,
            std::int64_t cross_gap, double cross_burst)
      : round_trip_(round_trip) {
    if (packets < 1 || packets > 10'000'000 || fragments < 1 || fragments > 64 || gap < 1 || paths.empty())
      throw Refusal("loss trace: packets 1 .. 10000000, fragments 1 .. 64, gap 1 ns or more, a path or more");
    impair::ImpairmentConfig config;
    config.paths = PathsOf(paths);
    impair::Impairment network(config, seed);
    Send(network, seed, packets, fragments, bytes, gap, cross_gap, cross_burst);
    TakeLaw(config.paths);
  }

  // What a receiver recorded of each path, in order of time; what was sent before the least number that came
  // is not known. `paths` is the law of the network, or empty.
  LossTrace(const std::vector<py::dict>& paths, const std::vector<Recorded>& recorded,
            std::int64_t round_trip)
      : round_trip_(round_trip) {
    for (const auto& [times, numbers] : recorded) paths_.push_back(Read(times, numbers));
    if (!paths.empty()) TakeLaw(PathsOf(paths));
  }

  // Times and numbers of what came by each path, in order.
  std::vector<Recorded> Arrivals() const {
    std::vector<Recorded> all;
    for (const Path& path : paths_) {
      const auto count = static_cast<py::ssize_t>(path.arrivals.size());
      Times times(count);
      Numbers numbers(count);
      std::int64_t* time = times.mutable_data();
      std::uint64_t* number = numbers.mutable_data();
      for (const Arrival& arrival : path.arrivals) {
        *time++ = arrival.at.count();
        *number++ = arrival.number;
      }
      all.emplace_back(std::move(times), std::move(numbers));
    }
    return all;
  }

  py::array_t<LossRow> Rows(const std::vector<std::uint16_t>& trained) const {
    if (!trained.empty() && trained.size() != shard::LossPredictor::kContexts)
      throw Refusal("argument", "trained", std::to_string(trained.size()), "none or 256 shares");
    std::vector<LossRow> rows;
    for (std::size_t path = 0; path < paths_.size(); ++path) {
      for (LossRow& row : RowsOf(paths_[path], trained)) {
        row.path = static_cast<std::uint8_t>(path);
        rows.push_back(row);
      }
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const LossRow& a, const LossRow& b) { return a.found_ns < b.found_ns; });
    py::array_t<LossRow> out(static_cast<py::ssize_t>(rows.size()));
    std::copy(rows.begin(), rows.end(), out.mutable_data());
    return out;
  }

 private:
  struct Arrival {
    Nanos at;
    std::uint64_t number;
  };
  struct Path {
    std::uint64_t sent = 0;
    std::vector<Arrival> arrivals;
    std::optional<shard::ChannelModel> model;
  };

  static Path Read(const Times& times, const Numbers& numbers) {
    Path path;
    const auto count = static_cast<std::size_t>(numbers.size());
    if (count == 0 || times.size() != numbers.size())
      throw Refusal("argument", "times", std::to_string(times.size()), "as many as numbers, 1 or more");
    const std::uint64_t* const number = numbers.data();
    const auto [least, greatest] = std::minmax_element(number, number + count);
    if (*greatest - *least >= kMostNumbers)
      throw Refusal("argument", "numbers", std::to_string(*greatest),
                    "less than " + std::to_string(kMostNumbers) + " above the least");
    path.sent = *greatest - *least + 1;
    std::vector<bool> has_come(path.sent);
    path.arrivals.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Arrival arrival = {Nanos(times.data()[i]), number[i] - *least};
      if (has_come[arrival.number])
        throw Refusal("argument", "numbers", std::to_string(number[i]), "each once");
      if (i > 0 && arrival.at < path.arrivals.back().at)
        throw Refusal("argument", "times", std::to_string(times.data()[i]), "in order");
      has_come[arrival.number] = true;
      path.arrivals.push_back(arrival);
    }
    return path;
  }

  void Send(impair::Impairment& network, std::uint64_t seed, std::size_t packets, std::size_t fragments,
            std::size_t bytes, std::int64_t gap, std::int64_t cross_gap, double cross_burst) {
    Rng rng(seed, "loss_trace");
    Rng cross(seed, "cross traffic");
    const auto after = [](Rng& from, std::int64_t mean) {
      return Nanos(1 + static_cast<std::int64_t>(from.Exponential(static_cast<double>(mean))));
    };
    paths_.resize(network.paths());
    Nanos now, next_cross = cross_gap > 0 ? after(cross, cross_gap) : impair::DelayLine::kNever;
    std::size_t next_path = 0;
    for (std::size_t packet = 0; packet < packets; ++packet) {
      now = now + after(rng, gap);
      for (; next_cross <= now; next_cross = next_cross + after(cross, cross_gap)) {
        const auto burst = 1 + static_cast<int>(cross.Exponential(cross_burst));
        for (int i = 0; i < burst; ++i) network.Pass(0, 1434, next_cross);
      }
      for (std::size_t i = 0; i < fragments; ++i) {
        Path& path = paths_[next_path];
        const std::uint64_t number = path.sent++;
        const impair::Passage passage = network.Pass(next_path, bytes, now);
        if (passage.copies > 0) path.arrivals.push_back({passage.copy[0].at, number});
        next_path = (next_path + 1) % paths_.size();
      }
    }
    for (Path& path : paths_) {
      std::sort(path.arrivals.begin(), path.arrivals.end(), [](const Arrival& a, const Arrival& b) {
        return a.at != b.at ? a.at < b.at : a.number < b.number;
      });
    }
  }

  // That of one path, where LossFilter takes its like.
  void TakeLaw(const std::vector<impair::PathConfig>& paths) {
    if (paths.size() != 1 || paths_.size() != 1) return;
    const impair::PathConfig& law = paths.front();
    if (law.bit_errors != 0 || law.rate != BitsPerSecond() || law.burst.good != Nanos()) return;
    Path& path = paths_.front();
    path.model.emplace();
    path.model->to_bad = law.burst.to_bad;
    path.model->to_good = law.burst.to_good;
    path.model->loss_good = 1 - (1 - law.loss) * (1 - law.burst.loss_good);
    path.model->loss_bad = 1 - (1 - law.loss) * (1 - law.burst.loss_bad);
    path.model->lateness = {{Nanos(), LateShare(path)}};
  }
  // Of what came: overtaken by a later number.
  static double LateShare(const Path& path) {
    std::uint64_t next = 0, late = 0;
    for (const Arrival& arrival : path.arrivals) {
      if (arrival.number < next) {
        ++late;
      } else {
        next = arrival.number + 1;
      }
    }
    return path.arrivals.empty() ? 0 : static_cast<double>(late) / static_cast<double>(path.arrivals.size());
  }

  std::vector<LossRow> RowsOf(const Path& path, const std::vector<std::uint16_t>& trained) const {
    constexpr std::uint32_t kNone = 0xffffffffu;
    constexpr Nanos kNever = impair::DelayLine::kNever;
    std::vector<Nanos> came(path.sent, kNever);
    for (const Arrival& arrival : path.arrivals) came[arrival.number] = arrival.at;
    shard::LossPredictorConfig config;
    config.trained = trained;
    shard::LossPredictor predictor(config);
    std::optional<shard::LossFilter> filter;
    if (path.model) filter.emplace(*path.model);
    std::vector<LossRow> rows;
    std::vector<std::uint32_t> row_of(path.sent, kNone);
    std::deque<std::uint32_t> unsettled;  // lost ones: known when what was sent again has come
    Work work;
    std::uint64_t next = 0;
    std::uint32_t since = 0;
    for (const Arrival& arrival : path.arrivals) {
      const Nanos now = arrival.at;
      for (; !unsettled.empty() && rows[unsettled.front()].settled_ns <= now.count(); unsettled.pop_front())
        predictor.OnLost(rows[unsettled.front()].context, false);
      if (arrival.number < next) {
        LossRow& row = rows[row_of[arrival.number]];
        predictor.OnLate(row.context, now - Nanos(row.found_ns), false, false);
        continue;
      }
      if (arrival.number > next) {
        shard::GapSigns signs;
        signs.run = static_cast<std::uint32_t>(std::min<std::uint64_t>(arrival.number - next, 1u << 20));
        signs.since = since;
        since = 0;
        if (filter) filter->OnMissing(arrival.number - next, work);
        for (std::uint64_t number = next; number < arrival.number; ++number) {
          LossRow row{};
          row.found_ns = now.count();
          row.number = number;
          row.run = signs.run;
          row.since = signs.since;
          row.context = predictor.ContextOf(signs);
          row.is_lost = came[number] == kNever ? 1 : 0;
          row.late_ns = row.is_lost != 0 ? -1 : (came[number] - now).count();
          row.settled_ns = (row.is_lost != 0 ? now + Nanos(round_trip_ * 9 / 4) : came[number]).count();
          row.share = predictor.LossShare(row.context) / 65'536.0;
          row.posterior = filter ? filter->Posterior(arrival.number - 1 - number)
                                 : std::numeric_limits<double>::quiet_NaN();
          row_of[number] = static_cast<std::uint32_t>(rows.size());
          if (row.is_lost != 0) unsettled.push_back(row_of[number]);
          rows.push_back(row);
        }
      }
      next = arrival.number + 1;
      since = std::min(since + 1, 1u << 20);
      if (filter) filter->OnReceived(work);
    }
    return rows;
  }

  std::int64_t round_trip_;
  std::vector<Path> paths_;
};

py::bytes SerialiseTable(const std::vector<std::uint16_t>& share, const py::bytes& data_sha256,
                         std::uint64_t seed, const std::string& command) {
  const std::string digest = data_sha256;
  shard::LossTable table;
  if (digest.size() != table.data_sha256.size())
    throw Refusal("argument", "data_sha256", std::to_string(digest.size()) + " bytes", "32 bytes");
  table.share = share;
  std::copy(digest.begin(), digest.end(), table.data_sha256.begin());
  table.seed = seed;
  table.command = command;
  const std::vector<std::uint8_t> file = shard::SerialiseLossTable(table);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

py::dict ParseTable(const py::bytes& file, const std::string& where) {
  const std::string bytes = file;
  const shard::LossTable table =
      shard::ParseLossTable({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, where);
  py::dict said;
  said["share"] = table.share;
  said["data_sha256"] =
      py::bytes(reinterpret_cast<const char*>(table.data_sha256.data()), table.data_sha256.size());
  said["seed"] = table.seed;
  said["command"] = table.command;
  return said;
}

}  // namespace

void BindLoss(py::module_& module) {
  PYBIND11_NUMPY_DTYPE(LossRow, found_ns, settled_ns, late_ns, number, run, since, path, context, is_lost,
                       share, posterior);
  module.attr("LOSS_ROW") = py::dtype::of<LossRow>();
  py::class_<LossTrace>(module, "LossTrace",
                        "Numbers that a sender sent over impaired paths, by turns, and what a receiver "
                        "missed: packets at random times of mean gap, each of fragments of so many bytes at "
                        "once; on the first path bursts of other datagrams. Times in nanoseconds.")
      .def(py::init<const std::vector<py::dict>&, std::uint64_t, std::size_t, std::size_t, std::size_t,
                    std::int64_t, std::int64_t, std::int64_t, double>(),
           py::arg("paths"), py::arg("seed"), py::arg("packets"), py::arg("fragments"), py::arg("bytes"),
           py::arg("gap"), py::arg("round_trip"), py::arg("cross_gap") = 0, py::arg("cross_burst") = 1.0)
      .def(py::init<const std::vector<py::dict>&, const std::vector<Recorded>&, std::int64_t>(),
           py::arg("paths"), py::arg("recorded"), py::arg("round_trip"),
           "What a receiver recorded: of each path, times and numbers of its own, in order of time. paths: "
           "the "
           "law of the network, or empty.")
      .def("arrivals", &LossTrace::Arrivals, "Of each path, times and numbers of what came, in order.")
      .def("rows", &LossTrace::Rows, py::arg("trained") = std::vector<std::uint16_t>(),
           "A row of dtype LOSS_ROW for each number found missing, which is by a later one of its path, in "
           "order.");
  module.def("serialise_loss_table", &SerialiseTable, py::arg("share"), py::arg("data_sha256"),
             py::arg("seed"), py::arg("command"), "The bytes of a table's file.");
  module.def("parse_loss_table", &ParseTable, py::arg("file"), py::arg("where"),
             "What a table's file holds.");
}

}  // namespace foreflow::python
