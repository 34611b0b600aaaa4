// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kModelSeed = 11;
constexpr std::size_t kBodyAt = 20;
constexpr std::size_t kDigestBytes = 32;

Model Parse(const Bytes& bytes) { return ParseModel({bytes.data(), bytes.size()}, "x.model"); }

std::string RefusalOf(const Bytes& bytes) {
  try {
    Parse(bytes);
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "accepted";
}

std::string RefusalOf(const Model& model) {
  try {
    SerialiseModel(model);
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "accepted";
}

// Length and digest of a changed body put right.
Bytes Resealed(Bytes file) {
  const std::uint64_t body = file.size() - kBodyAt - kDigestBytes;
  for (std::size_t i = 0; i < 8; ++i) file[12 + i] = static_cast<std::uint8_t>(body >> (8 * i));
  crypto::Sha256 sha;
  sha.Update({file.data(), file.size() - kDigestBytes});
  const auto digest = sha.Finish();
  std::copy(digest.begin(), digest.end(), file.end() - kDigestBytes);
  return file;
}

TEST(ModelFile, HoldsEveryKind) {
  for (const Model& model : OneOfEachKind(kModelSeed)) {
    SCOPED_TRACE(Name(model.kind));
    const Bytes file = SerialiseModel(model);
    EXPECT_EQ(SerialiseModel(model), file);
    const Model read = Parse(file);
    EXPECT_EQ(SerialiseModel(read), file);
    EXPECT_EQ(read.task, model.task);
    EXPECT_EQ(read.kind, model.kind);
    EXPECT_EQ(read.feature_set, model.feature_set);
    EXPECT_EQ(read.symbols, model.symbols);
    EXPECT_EQ(read.inputs, model.inputs);
    EXPECT_EQ(read.hidden, model.hidden);
    ASSERT_EQ(read.heads.size(), model.heads.size());
    for (std::size_t i = 0; i < read.heads.size(); ++i) {
      EXPECT_EQ(read.heads[i].target, model.heads[i].target);
      EXPECT_EQ(read.heads[i].classes, model.heads[i].classes);
      EXPECT_EQ(read.heads[i].levels, model.heads[i].levels);
      EXPECT_EQ(read.heads[i].temperature, model.heads[i].temperature);
    }
    EXPECT_EQ(read.input_mean, model.input_mean);
    EXPECT_EQ(read.input_scale, model.input_scale);
    ASSERT_EQ(read.tensors.size(), model.tensors.size());
    for (std::size_t i = 0; i < read.tensors.size(); ++i) {
      EXPECT_EQ(read.tensors[i].name, model.tensors[i].name);
      EXPECT_EQ(read.tensors[i].value, model.tensors[i].value);
    }
    ASSERT_EQ(read.tables.size(), model.tables.size());
    for (std::size_t i = 0; i < read.tables.size(); ++i)
      EXPECT_EQ(read.tables[i].value, model.tables[i].value);
    EXPECT_EQ(read.data_sha256, model.data_sha256);
    EXPECT_EQ(read.seed, model.seed);
    EXPECT_EQ(read.command, model.command);
    ASSERT_EQ(read.goldens.size(), 1u);
    EXPECT_EQ(read.goldens[0].symbol, model.goldens[0].symbol);
    EXPECT_EQ(read.goldens[0].input, model.goldens[0].input);
    EXPECT_EQ(read.goldens[0].expected, model.goldens[0].expected);
  }
}

// The layout in the header, read by hand: a change of it must come with another version.
TEST(ModelFile, IsLaidOutAsDocumented) {
  const Bytes file = SerialiseModel(MakeModel({ModelKind::kAutomaton, {2}, 1, 0, {2}, {}}, kModelSeed));
  Bytes start = {'f', 'f', 'm', 'o', 'd', 'e', 'l', '\n', 1, 0, 0, 0};
  EXPECT_TRUE(std::equal(start.begin(), start.end(), file.begin()));
  const Bytes body = {9, 0, 'n', 'e', 'x', 't', '-', 't', 'y', 'p', 'e', 3,  // task, kind
                      1, 0, 0,   0,   1,   0,   0,   0,   0,   0,   0,   0, 1, 2,    0,    0, 0,  // sizes
                      1, 7, 0,   't', 'a', 'r', 'g', 'e', 't', '0', 0,   0, 0, 0xa0, 0x3f, 2, 0};
  EXPECT_TRUE(std::equal(body.begin(), body.end(), file.begin() + kBodyAt));
  EXPECT_EQ(file.size() - kBodyAt - kDigestBytes, file[12] + 256u * file[13]);
}

TEST(ModelFile, RefusesWhatIsNoIntactFile) {
  const Bytes good = SerialiseModel(MakeModel({}, kModelSeed));
  EXPECT_THAT(RefusalOf(Bytes{}), HasSubstr("x.model: is no model file"));
  Bytes bad = good;
  bad[0] = 'g';
  EXPECT_THAT(RefusalOf(bad), HasSubstr("x.model: is no model file"));
  bad = good;
  bad[8] = 2;
  EXPECT_THAT(RefusalOf(bad), HasSubstr("format version is 2, allowed: 1"));
  bad = good;
  bad.pop_back();
  EXPECT_THAT(RefusalOf(bad), HasSubstr("is cut short or has grown"));
  bad = good;
  bad.push_back(0);
  EXPECT_THAT(RefusalOf(bad), HasSubstr("is cut short or has grown"));
  for (const std::size_t at : {kBodyAt, good.size() / 2, good.size() - 1}) {
    bad = good;
    bad[at] ^= 1;
    EXPECT_THAT(RefusalOf(bad), HasSubstr("its SHA-256 does not match"));
  }
  for (std::size_t size = 8; size < kBodyAt + kDigestBytes; ++size)
    EXPECT_THAT(RefusalOf(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))),
                HasSubstr("x.model: "));
}

// A body cut at every place, with length and digest of the shorter body: no place is read past the end.
TEST(ModelFile, RefusesABodyThatEndsEarly) {
  const Bytes good = SerialiseModel(MakeModel({ModelKind::kTrees, {2, 2}, 3, 2, {3}, {2}}, kModelSeed));
  const std::size_t body = good.size() - kBodyAt - kDigestBytes;
  for (std::size_t kept = 0; kept < body; ++kept) {
    Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(kBodyAt + kept));
    cut.resize(cut.size() + kDigestBytes);
    ASSERT_THAT(RefusalOf(Resealed(cut)), HasSubstr("x.model: ")) << kept;
  }
  Bytes grown = good;
  grown.push_back(0);
  EXPECT_THAT(RefusalOf(Resealed(grown)), HasSubstr("has 1 B after its last field"));
}

// A shape in the file that promises gigabytes is refused before room is made for it.
TEST(ModelFile, RefusesForgedSizes) {
  const Bytes good = SerialiseModel(MakeModel({}, kModelSeed));
  const std::string name = "embedding";
  const auto at = std::search(good.begin(), good.end(), name.begin(), name.end());
  ASSERT_NE(at, good.end());
  Bytes bad = good;
  std::fill_n(bad.begin() + (at - good.begin()) + 10, 8, std::uint8_t{0xff});
  EXPECT_THAT(RefusalOf(Resealed(bad)),
              HasSubstr("shape of embedding is [4294967295, 4294967295], allowed: [64, 48]"));
}

TEST(ModelFile, RefusesWhatTheTableDoesNotAllow) {
  const RandomModel gru{ModelKind::kGru, {16}, 4, 2, {7}, {3}};
  const RandomModel automaton{ModelKind::kAutomaton, {40}, 8, 0, {4}, {}};
  const RandomModel coded{ModelKind::kAutomaton, {40, 9, 3, 2}, 8, 2, {4}, {}};
  const RandomModel trees{ModelKind::kTrees, {2, 3}, 3, 4, {3}, {}};
  struct Case {
    RandomModel sizes;
    std::function<void(Model&)> change;
    const char* sentence;
  };
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<Case> cases = {
      {gru, [](Model& m) { m.task = "next-move"; }, "task is 'next-move', allowed: next-type, "},
      {gru, [](Model& m) { m.kind = static_cast<ModelKind>(5); }, "kind is 5, allowed: 0 gru to 4 trees"},
      {gru, [](Model& m) { m.symbols = 257; }, "symbols is 257, allowed: 1..256"},
      {gru, [](Model& m) { m.inputs = 65; }, "inputs is 65, allowed: 0..64"},
      {gru, [](Model& m) { m.hidden = {24}; }, "hidden size is 24, allowed: 16, 32, 64"},
      {gru,
       [](Model& m) {
         m.hidden = {16, 16};
       },
       "count of hidden sizes is 2, allowed: 1..1"},
      {gru, [](Model& m) { m.hidden = {32}; }, "shape of embedding is [4, 48], allowed: [4, 96]"},
      {gru, [](Model& m) { m.heads.clear(); }, "heads is 0"},
      {gru, [](Model& m) { m.heads[0].classes.clear(); }, "outputs of head 'target0' is 0"},
      {gru, [](Model& m) { m.heads[0].levels = {0.5f}; }, "has both classes and levels"},
      {gru, [](Model& m) { m.heads[0].temperature = 0; }, "temperature of head 'target0' is 0.000000"},
      {gru, [=](Model& m) { m.heads[0].temperature = inf; }, "temperature of head 'target0' is inf"},
      {gru,
       [](Model& m) {
         m.heads[1].levels = {0.5f, 0.5f, 0.6f};
       },
       "level of head 'target1' is 0.500000"},
      {gru, [](Model& m) { m.heads[0].classes.resize(129); }, "outputs of head 'target0' is 129"},
      {gru, [](Model& m) { m.tensors.pop_back(); }, "count of arrays is 5, allowed: 6..6"},
      {gru, [](Model& m) { std::swap(m.tensors[0], m.tensors[1]); }, "name of an array is 'weight_ih'"},
      {gru, [](Model& m) { m.tensors[2].value.pop_back(); }, "shape of weight_hh"},
      {gru, [=](Model& m) { m.tensors[2].value[5] = inf; }, "weight_hh[5] is inf, allowed: finite"},
      {gru, [](Model& m) { m.input_mean.pop_back(); }, "count of input_mean is 1, allowed: 2..2"},
      {gru, [](Model& m) { m.goldens[0].symbol[1] = 4; }, "symbol of a golden sequence is 4, allowed: 0..3"},
      {gru, [](Model& m) { m.goldens[0].expected.pop_back(); },
       "expected outputs of a golden sequence is 29"},
      {gru, [](Model& m) { m.goldens[0] = {}; }, "steps of a golden sequence is 0"},
      {automaton, [](Model& m) { m.tables[0].value[3] = 40; }, "next_state[3] is 40, allowed: 0..39"},
      {automaton, [](Model& m) { m.tensors[0].value[3] = 1.5f; }, "output[3] is 1.500000, allowed: 0..1"},
      {automaton, [](Model& m) { m.hidden = {4097}; }, "states is 4097, allowed: 1..4096"},
      {automaton,
       [](Model& m) {
         m.hidden = {4096};
         m.symbols = 65;
       },
       "bytes of the transition table is 532480, allowed: 1..524288"},
      {coded,
       [](Model& m) {
         m.hidden = {40, 9};
       },
       "count of hidden sizes is 2, allowed: 4..4"},
      {coded, [](Model& m) { m.hidden[1] = 0; }, "codes is 0, allowed: 1..4096"},
      {coded, [](Model& m) { m.hidden[2] = 200; }, "cells of all inputs is 603, allowed: 1..512"},
      {coded, [](Model& m) { m.hidden[3] = 512; }, "edges of input 1 is 512, allowed: 0..511"},
      {coded,
       [](Model& m) {
         m.hidden[0] = 4096;
         m.hidden[1] = 65;
       },
       "bytes of the transition table is 532480, allowed: 1..524288"},
      {coded, [](Model& m) { m.tables[1].value[5] = 9; }, "step_code[5] is 9, allowed: 0..8"},
      {coded, [](Model& m) { m.tensors[1].value[2] = m.tensors[1].value[1]; }, "edge[2] is "},
      {trees, [](Model& m) { m.tables[1].value[2] = 5; }, "feature[2] is 5, allowed: 0..4"},
      {trees, [](Model& m) { m.tables[0].value[1] = 3; }, "tree_output[1] is 3, allowed: 0..2"},
      {trees,
       [](Model& m) {
         m.hidden = {2, 9};
       },
       "depth of the trees is 9, allowed: 1..8"},
  };
  for (const Case& test : cases) {
    Model model = MakeModel(test.sizes, kModelSeed);
    ASSERT_EQ(RefusalOf(model), "accepted");
    test.change(model);
    EXPECT_THAT(RefusalOf(model), HasSubstr(test.sentence));
  }
}

TEST(ModelFile, RefusesAnotherUse) {
  const Model model = MakeModel({}, kModelSeed);
  RequireUse(model, "x.model", "next-type", 1);
  EXPECT_THROW(RequireUse(model, "x.model", "flow-size", 1), Refusal);
  EXPECT_THROW(RequireUse(model, "x.model", "next-type", 2), Refusal);
}

}  // namespace
}  // namespace foreflow::predict
