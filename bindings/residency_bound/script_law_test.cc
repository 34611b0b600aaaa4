// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/residency_bound/script_law.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/base/refusal.h"

namespace foreflow::bound {
namespace {

ScriptLaw Law(double sure) {
  ScriptLaw law;
  law.sure = sure;
  law.goes_on = 0.75;
  law.gap_s = 2e-3;
  law.pause_s = 8e-3;
  law.popularity = {0.7, 0.3};
  law.headers.resize(4);
  ScriptLaw::Phase first, second;
  first.scripts = {{0, 1}, {1, 2, 1}};
  second.begin = 4;
  second.scripts = {{3, 1}, {1, 2, 1}};
  law.vms[1] = {first, second};
  return law;
}

struct Packet {
  ScriptLaw::Header header;
  double gap_s;
};

// The next visit's headers by enumeration of everything that may have happened: at each packet, whether it
// began a visit, of which step, and whether that went astray.
class Enumeration {
 public:
  Enumeration(const ScriptLaw& law, std::vector<Packet> packets) : law_(law), packets_(std::move(packets)) {
    next_.resize(law.headers.size());
    Go(0, 0, 0, 0, 1);
    double sum = 0;
    for (const double p : next_) sum += p;
    for (double& p : next_) p /= sum;
  }
  const std::vector<double>& next() const { return next_; }

 private:
  const ScriptLaw::Scripts& ScriptsAt(std::size_t packet) const {
    const auto& phases = law_.vms.at(1);
    return phases[phases.size() > 1 && packet >= phases[1].begin ? 1 : 0].scripts;
  }
  double Stray(const ScriptLaw::Scripts& scripts, ScriptLaw::Header header) const {
    double here = 0, all = 0;
    for (const auto& script : scripts) {
      for (const ScriptLaw::Header step : script) {
        ++all;
        here += step == header ? 1 : 0;
      }
    }
    return here / all;
  }
  // `script`, `step`: of the visit so far; `header`: that it is to.
  void Go(std::size_t at, std::size_t script, std::size_t step, ScriptLaw::Header header, double likelihood) {
    const bool is_begin = at == 0 || (law_.vms.at(1).size() > 1 && at == law_.vms.at(1)[1].begin);
    if (at == packets_.size()) {
      for (ScriptLaw::Header to = 0; to < next_.size(); ++to) {
        ForEachNext(ScriptsAt(at - 1), script, step, false, to,
                    [&](std::size_t, std::size_t, double p) { next_[to] += likelihood * p; });
      }
      return;
    }
    const Packet& packet = packets_[at];
    const double on = std::exp(-packet.gap_s / law_.gap_s) / law_.gap_s;
    const double turn = (std::exp(-packet.gap_s / law_.pause_s) - std::exp(-packet.gap_s / law_.gap_s)) /
                        (law_.pause_s - law_.gap_s);
    if (!is_begin && packet.header == header)
      Go(at + 1, script, step, header, likelihood * law_.goes_on * on);
    ForEachNext(ScriptsAt(at), script, step, is_begin, packet.header,
                [&](std::size_t next_script, std::size_t next_step, double p) {
                  const double timing = is_begin ? 1 : (1 - law_.goes_on) * turn;
                  Go(at + 1, next_script, next_step, packet.header, likelihood * p * timing);
                });
  }
  template <typename Visit>
  void ForEachNext(const ScriptLaw::Scripts& scripts, std::size_t script, std::size_t step, bool is_begin,
                   ScriptLaw::Header to, const Visit& visit) {
    const auto emit = [&](std::size_t next_script, std::size_t next_step, double p) {
      const double own = scripts[next_script][next_step] == to ? law_.sure : 0;
      visit(next_script, next_step, p * (own + (1 - law_.sure) * Stray(scripts, to)));
    };
    if (!is_begin && step + 1 < scripts[script].size()) return emit(script, step + 1, 1);
    for (std::size_t i = 0; i < scripts.size(); ++i) emit(i, 0, law_.popularity[i]);
  }

  const ScriptLaw& law_;
  std::vector<Packet> packets_;
  std::vector<double> next_;
};

TEST(ScriptFilter, IsBayesOverAllThatMayHaveHappened) {
  constexpr std::uint64_t kSeed = 3;
  SCOPED_TRACE("seed 3");
  std::mt19937_64 random(kSeed);
  for (const double sure : {0.97, 0.5, 0.0}) {
    const ScriptLaw law = Law(sure);
    for (int round = 0; round < 20; ++round) {
      std::vector<Packet> packets;
      ScriptFilter filter(law, law.vms.at(1), false);
      while (packets.size() < 7) {
        // A header of the scripts in use.
        const auto header =
            static_cast<ScriptLaw::Header>(packets.size() < 4 ? random() % 3 : 1 + random() % 3);
        packets.push_back({header, 1e-3 * static_cast<double>(1 + random() % 15)});
        filter.See(packets.back().header, packets.back().gap_s);
        const Enumeration all(law, packets);
        for (std::size_t to = 0; to < 4; ++to) {
          ASSERT_NEAR(filter.next()[to], all.next()[to], 1e-9)
              << "packet " << packets.size() << " header " << to;
        }
      }
    }
  }
}

TEST(ScriptFilter, OfWhatWasNotSeenNothingIsKnown) {
  const ScriptLaw law = Law(0.97);
  ScriptFilter all(law, law.vms.at(1), false), seen(law, law.vms.at(1), true);
  for (const ScriptLaw::Header header : {0u, 1u}) {
    all.See(header, 10e-3);
    seen.See(header, 10e-3);
  }
  // The first script has ended; header 2 was never visited.
  EXPECT_NEAR(all.next()[0], seen.next()[0], 1e-12);
  EXPECT_GT(all.next()[2], 0.0);
  EXPECT_EQ(seen.next()[2], 0.0);
  EXPECT_LT(seen.next()[1], all.next()[1]);
}

TEST(ScriptFilter, HazardsAreOfTheGapsOfTheLaw) {
  const ScriptLaw law = Law(0.97);
  const ScriptFilter filter(law, law.vms.at(1), false);
  // The share that goes on, and the mean gap, by integration of the hazards alone.
  double silent = 1, went_on = 0, mean = 0;
  constexpr double kStep = 1e-6;
  for (double at = kStep / 2; at < 0.2; at += kStep) {
    const ScriptFilter::Hazard hazard = filter.After(at);
    went_on += silent * hazard.on * kStep;
    mean += silent * kStep;
    silent *= std::exp(-(hazard.on + hazard.turn) * kStep);
  }
  EXPECT_NEAR(went_on, law.goes_on, 1e-3);
  EXPECT_NEAR(mean, law.gap_s + (1 - law.goes_on) * law.pause_s, 1e-5);
  EXPECT_LT(silent, 1e-6);
  EXPECT_NEAR(filter.After(1e6).turn, 1 / law.pause_s, 1e-6);
}

TEST(ScriptLaw, IsReadFromTheSidecarAndNothingElseIsTaken) {
  const std::string name = testing::TempDir() + "script_law_test.json";
  const auto load = [&](const std::string& text) {
    std::ofstream(name) << text;
    return LoadScriptLaw(name);
  };
  const std::string begin =
      R"({"name": "sessions", "law": {"sure": 0.97, "packets": 4, "gap_s": 0.002, "pause_s": 0.008,)";
  const std::string rest = R"( "popularity": [1.0], "headers": [[167772161, 167837697, 1000, 443, 6]],
    "vms": [{"mac": 2199023255553, "phases": [{"begin": 0, "scripts": [[0, 0]]}]}]}})";
  const ScriptLaw law = load(begin + rest);
  EXPECT_DOUBLE_EQ(law.goes_on, 0.75);
  ASSERT_EQ(law.headers.size(), 1u);
  EXPECT_EQ(law.headers[0].source_address[0], 10);
  EXPECT_EQ(law.headers[0].destination_port, 443);
  EXPECT_EQ(law.vms.at(2199023255553).at(0).scripts, (ScriptLaw::Scripts{{0, 0}}));
  EXPECT_THROW(load("{}"), Refusal);
  EXPECT_THROW(load(R"({"law": 3})"), Refusal);
  std::string wrong = begin + rest;
  wrong.replace(wrong.find("[[0, 0]]"), 8, "[[0, 1]]");
  EXPECT_THROW(load(wrong), Refusal);  // no such header
  wrong = begin + rest;
  wrong.replace(wrong.find("[[0, 0]]"), 8, "[[]]");
  EXPECT_THROW(load(wrong), Refusal);
  wrong = begin + rest;
  wrong.replace(wrong.find("0.008"), 5, "0.001");
  EXPECT_THROW(load(wrong), Refusal);
  std::remove(name.c_str());
  EXPECT_THROW(LoadScriptLaw(name), Refusal);
}

}  // namespace
}  // namespace foreflow::bound
