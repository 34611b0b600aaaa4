// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_VECTOR_TARGET_H_
#define FOREFLOW_MODELS_PREDICT_VECTOR_TARGET_H_

// Between the two, functions are compiled for more than the processor that every machine has: only what
// checks the processor first may call them. No header of the standard library belongs between them: its
// functions would be compiled so for everybody.
#define FOREFLOW_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FOREFLOW_TARGET_BEGIN(set) \
  FOREFLOW_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define FOREFLOW_TARGET_END FOREFLOW_PRAGMA(clang attribute pop)
#else
#define FOREFLOW_TARGET_BEGIN(set) FOREFLOW_PRAGMA(GCC push_options) FOREFLOW_PRAGMA(GCC target(set))
#define FOREFLOW_TARGET_END FOREFLOW_PRAGMA(GCC pop_options)
#endif

#endif  // FOREFLOW_MODELS_PREDICT_VECTOR_TARGET_H_
