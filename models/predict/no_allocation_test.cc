// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>
#include <vector>

#include "models/predict/sequence_model.h"
#include "models/predict/test_models.h"

namespace {
bool g_counting = false;
std::size_t g_allocations = 0;
}  // namespace

// Replaces the allocator of this test program. The array forms end here by themselves; the nothrow form does
// not under AddressSanitizer, which brings its own.
void* operator new(std::size_t size) {
  if (g_counting) ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (g_counting) ++g_allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace foreflow::predict {
namespace {

TEST(NoAllocation, SteppingModelsTakesNoMemory) {
  const std::uint64_t seed = 71;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const Model& model : OneOfEachKind(seed)) {
    SCOPED_TRACE(Name(model.kind));
    const auto served = MakeSequenceModel(model);
    constexpr std::size_t kSteps = 500, kSequences = 40;
    const std::size_t words = (served->state_bytes() + 3) / 4;
    std::vector<float> state(kSequences * words + 1), input(kSteps * served->inputs() + 1),
        output(kSteps * served->outputs());
    std::vector<ModelStep> steps(kSteps);
    for (std::size_t i = 0; i < kSteps; ++i) {
      steps[i] = {state.data() + random() % kSequences * words, input.data() + i * served->inputs(),
                  i % 7 == 0 ? nullptr : output.data() + i * served->outputs(),
                  static_cast<std::uint8_t>(random() % served->symbols())};
    }
    Work work;
    g_allocations = 0;
    g_counting = true;
    for (std::size_t at = 0; at < kSteps; at += 20) served->Step(&steps[at], 20, work);
    for (const ModelStep& step : steps) served->Step(&step, 1, work);
    g_counting = false;
    EXPECT_EQ(g_allocations, 0u);
  }
  g_counting = true;
  EXPECT_NE(MakeSequenceModel(OneOfEachKind(seed)[0]), nullptr);
  g_counting = false;
  EXPECT_GT(g_allocations, 0u) << "nothing was counted";
}

}  // namespace
}  // namespace foreflow::predict
