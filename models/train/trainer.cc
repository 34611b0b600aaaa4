// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/trainer.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "models/base/refusal.h"

namespace foreflow::train {
namespace {

constexpr char kMagic[] = "foreflow checkpoint 1";
constexpr std::uint32_t kHalvingPatience = 3;
constexpr std::uint32_t kValidationLanes = 256;

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Where a training stands; with the network's own, all that a resumed one needs.
struct Position {
  std::uint32_t epoch = 0;  // from 0, running
  std::uint64_t chunk = 0;  // of the epoch, next
  std::uint64_t step = 0;   // of the optimiser, over all epochs
  std::uint32_t worse = 0;  // epochs since the best one
  std::uint32_t best = 0;   // from 1; 0: none yet
  double rate = 0;
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<double> sums;        // of the epoch's training loss, a head
  std::vector<double> validation;  // of the best epoch
  std::string best_network;
  std::string curve;  // lines so far
};

void Put(std::ostream& out, const std::string& text) {
  const std::uint64_t size = text.size();
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out.write(text.data(), static_cast<std::streamsize>(size));
}

void Put(std::ostream& out, const std::vector<double>& values) {
  Put(out, std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)));
}

std::string TakeText(std::istream& in, const std::string& path) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 32;
  std::uint64_t size = 0;
  in.read(reinterpret_cast<char*>(&size), sizeof size);
  std::string text;
  if (in && size < kMost) {
    text.resize(size);
    in.read(text.data(), static_cast<std::streamsize>(size));
  }
  if (!in || size >= kMost) throw Refusal(path + ": the checkpoint is cut short; train without --resume");
  return text;
}

std::vector<double> TakeNumbers(std::istream& in, const std::string& path) {
  const std::string text = TakeText(in, path);
  std::vector<double> values(text.size() / sizeof(double));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(double));
  return values;
}

void WriteFile(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".part";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out || std::rename(temporary.c_str(), path.c_str()) != 0) {
    throw std::runtime_error(path + ": cannot be written: " + std::strerror(errno));
  }
}

void SaveCheckpoint(const Schedule& schedule, const Position& at, const Network& network) {
  std::ostringstream out;
  Put(out, kMagic);
  Put(out, schedule.identity);
  Put(out, std::vector<double>{static_cast<double>(at.epoch), static_cast<double>(at.chunk),
                               static_cast<double>(at.step), static_cast<double>(at.worse),
                               static_cast<double>(at.best), at.rate, at.best_loss});
  Put(out, at.sums);
  Put(out, at.validation);
  Put(out, at.best_network);
  Put(out, at.curve);
  Put(out, network.Save());
  WriteFile(schedule.checkpoint, out.str());
}

bool LoadCheckpoint(const Schedule& schedule, Position& at, Network& network) {
  const std::string& path = schedule.checkpoint;
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  if (TakeText(in, path) != kMagic)
    throw Refusal(path + ": no checkpoint of this version; train without --resume");
  if (TakeText(in, path) != schedule.identity) {
    throw Refusal(path + ": the checkpoint is of other data or settings; train without --resume");
  }
  const std::vector<double> numbers = TakeNumbers(in, path);
  if (numbers.size() != 7) throw Refusal(path + ": the checkpoint is damaged; train without --resume");
  at.epoch = static_cast<std::uint32_t>(numbers[0]);
  at.chunk = static_cast<std::uint64_t>(numbers[1]);
  at.step = static_cast<std::uint64_t>(numbers[2]);
  at.worse = static_cast<std::uint32_t>(numbers[3]);
  at.best = static_cast<std::uint32_t>(numbers[4]);
  at.rate = numbers[5];
  at.best_loss = numbers[6];
  at.sums = TakeNumbers(in, path);
  at.validation = TakeNumbers(in, path);
  at.best_network = TakeText(in, path);
  at.curve = TakeText(in, path);
  network.Load(TakeText(in, path));
  return true;
}

// One line on standard error: rewritten on a terminal, every few seconds elsewhere.
class Progress {
 public:
  void Show(const Position& at, const Schedule& schedule, double done, bool now) {
    const Clock::time_point time = Clock::now();
    const double since = Seconds(time - last_);
    if (!now && since < (terminal_ ? 0.5 : 10.0)) return;
    last_ = time;
    const double epochs = (at.epoch + done) - first_;
    const double left =
        epochs > 0 ? Seconds(time - begin_) / epochs * (schedule.epochs - at.epoch - done) : 0;
    char best[48] = "";
    if (at.best > 0) std::snprintf(best, sizeof best, ", best %.4f in epoch %u", at.best_loss, at.best);
    std::fprintf(stderr, "%s  epoch %u of at most %u, %3.0f %%%s, at most %.0f s left%s",
                 terminal_ ? "\r" : "", at.epoch + 1, schedule.epochs, 100 * done, best, left,
                 terminal_ ? "  " : "\n");
  }
  void Begin(const Position& at, double done) { first_ = at.epoch + done; }
  void End() const {
    if (terminal_) std::fputc('\n', stderr);
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
  double first_ = 0;  // epochs that were done before
};

std::string CurveHead(const Dataset& dataset) {
  std::string line = "epoch,learning_rate";
  for (const char* slice : {"train", "validation"}) {
    for (const Target& target : dataset.targets) line += std::string(",") + slice + "_" + target.name;
  }
  return line + "\n";
}

std::string CurveLine(const Position& at, const std::vector<double>& train,
                      const std::vector<double>& validation) {
  char text[64];
  std::snprintf(text, sizeof text, "%u,%.6g", at.epoch + 1, at.rate);
  std::string line = text;
  for (const std::vector<double>* losses : {&train, &validation}) {
    for (const double loss : *losses) {
      std::snprintf(text, sizeof text, ",%.6f", loss);
      line += text;
    }
  }
  return line + "\n";
}

std::vector<double> Means(std::vector<double> sums, const std::vector<std::uint64_t>& known) {
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] /= static_cast<double>(std::max<std::uint64_t>(known[i], 1));
  return sums;
}

std::vector<double> Validate(Network& network, const Lanes& lanes, std::uint32_t steps, std::size_t heads) {
  std::vector<double> sums(heads, 0);
  network.ClearState();
  for (std::size_t first = 0; first < lanes.steps(); first += steps) {
    const std::vector<double> part = network.Loss(lanes.At(first, steps));
    for (std::size_t i = 0; i < heads; ++i) sums[i] += part[i];
  }
  return Means(sums, lanes.known());
}

void RequireLabels(const Dataset& dataset, const Lanes& lanes, const char* slice) {
  for (std::size_t i = 0; i < dataset.targets.size(); ++i) {
    if (lanes.known()[i] == 0) {
      throw Refusal(std::string("the dataset has no known ") + dataset.targets[i].name + " in its " + slice +
                    " rows; give more captures or longer ones");
    }
  }
}

}  // namespace

Outcome Train(Network& network, const Dataset& dataset, const std::vector<double>& head_weight,
              const Schedule& schedule) {
  const std::size_t heads = dataset.targets.size();
  Lanes training(dataset, kTrainSplit, schedule.lanes, schedule.most_rows);
  const Lanes validation(dataset, kValidationSplit, kValidationLanes, 0);
  RequireLabels(dataset, training, "training");
  RequireLabels(dataset, validation, "validation");

  Position at;
  at.rate = schedule.rate;
  at.sums.assign(heads, 0);
  at.curve = CurveHead(dataset);
  if (schedule.resume && LoadCheckpoint(schedule, at, network)) {
    std::fprintf(stderr, "resumed in epoch %u, step %llu\n", at.epoch + 1,
                 static_cast<unsigned long long>(at.step));
  }

  Progress progress;
  Clock::time_point saved = Clock::now();
  bool begins = true;
  for (; at.epoch < schedule.epochs && at.worse < schedule.patience; ++at.epoch) {
    training.Shuffle(schedule.seed, at.epoch);
    const std::uint64_t chunks = (training.steps() + schedule.steps - 1) / schedule.steps;
    std::vector<double> known;
    for (const std::uint64_t labels : training.known()) {
      known.push_back(static_cast<double>(labels) / static_cast<double>(chunks));
    }
    const auto done = [&] { return static_cast<double>(at.chunk) / static_cast<double>(chunks); };
    if (begins) progress.Begin(at, done());
    begins = false;
    if (at.chunk == 0) network.ClearState();
    while (at.chunk < chunks) {
      const Chunk chunk = training.At(at.chunk * schedule.steps, schedule.steps);
      const std::vector<double> part = network.Learn(chunk, known, at.rate, at.step);
      for (std::size_t i = 0; i < heads; ++i) at.sums[i] += part[i];
      ++at.chunk;
      ++at.step;
      progress.Show(at, schedule, done(), false);
      if (!schedule.checkpoint.empty() && Seconds(Clock::now() - saved) >= schedule.checkpoint_seconds) {
        SaveCheckpoint(schedule, at, network);
        saved = Clock::now();
      }
    }
    const std::vector<double> losses = Validate(network, validation, schedule.steps, heads);
    double loss = 0;
    for (std::size_t i = 0; i < heads; ++i) loss += head_weight[i] * losses[i];
    if (!std::isfinite(loss)) throw std::runtime_error("the training diverged; try a smaller --rate");
    at.curve += CurveLine(at, Means(at.sums, training.known()), losses);
    if (!schedule.curve.empty()) WriteFile(schedule.curve, at.curve);
    if (loss < at.best_loss) {
      at.best_loss = loss;
      at.best = at.epoch + 1;
      at.validation = losses;
      at.best_network = network.Save();
      at.worse = 0;
    } else if (++at.worse % kHalvingPatience == 0) {
      at.rate /= 2;
    }
    at.chunk = 0;
    at.sums.assign(heads, 0);
    progress.Show(at, schedule, 1, false);
  }
  progress.End();
  network.Load(at.best_network);
  network.ClearState();
  return {at.epoch, at.best, at.validation};
}

}  // namespace foreflow::train
