// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_VECTOR_CLONES_H_
#define FOREFLOW_MODELS_BASE_VECTOR_CLONES_H_

// In front of a function on integers: it is compiled once for each of several widths of vectors, and the
// loader picks what the processor has. The results are the same bits.
#if defined(__x86_64__)
#define FOREFLOW_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOREFLOW_VECTOR_CLONES
#endif

#endif  // FOREFLOW_MODELS_BASE_VECTOR_CLONES_H_
