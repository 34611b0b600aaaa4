// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_COUNT_ALLOCATIONS_TEST_H_
#define FOREFLOW_MODELS_BASE_COUNT_ALLOCATIONS_TEST_H_

#include <cstddef>
#include <cstdlib>
#include <new>

// Counts what a test program allocates while g_counting. One source file of a program may include this.
inline bool g_counting = false;
inline std::size_t g_allocations = 0;

// Replaces the allocator of this test program. The array forms end here by themselves; the nothrow form does
// not under AddressSanitizer, which brings its own. Not inlined: the compiler would take new and free for a
// mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (g_counting) ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (g_counting) ++g_allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

#endif  // FOREFLOW_MODELS_BASE_COUNT_ALLOCATIONS_TEST_H_
