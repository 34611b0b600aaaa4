// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_LANE_PACK_H_
#define FOREFLOW_MODELS_PREDICT_LANE_PACK_H_

#include <cstddef>

namespace foreflow::predict {

// N vectors that go through the same operations side by side: an operation takes four cycles and more, and a
// processor looks only so far ahead for another that need not wait.
template <class V, std::size_t N>
struct Pack {
  V v[N];

  [[gnu::always_inline]] static Pack Broadcast(float value) {
    Pack result;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; ++i) result.v[i] = V::Broadcast(value);
    return result;
  }
};

#define FOREFLOW_PACK_OPERATION(declarator, expression)                                   \
  template <class V, std::size_t N>                                                       \
  [[gnu::always_inline]] inline Pack<V, N> declarator {                                   \
    Pack<V, N> result;                                                                    \
    _Pragma("GCC unroll 4") for (std::size_t i = 0; i < N; ++i) result.v[i] = expression; \
    return result;                                                                        \
  }

FOREFLOW_PACK_OPERATION(operator+(const Pack<V, N>& a, const Pack<V, N>& b), (a.v[i] + b.v[i]))
FOREFLOW_PACK_OPERATION(operator-(const Pack<V, N>& a, const Pack<V, N>& b), (a.v[i] - b.v[i]))
FOREFLOW_PACK_OPERATION(operator*(const Pack<V, N>& a, const Pack<V, N>& b), (a.v[i] * b.v[i]))
FOREFLOW_PACK_OPERATION(operator/(const Pack<V, N>& a, const Pack<V, N>& b), (a.v[i] / b.v[i]))
FOREFLOW_PACK_OPERATION(Fma(const Pack<V, N>& a, const Pack<V, N>& b, const Pack<V, N>& c),
                        Fma(a.v[i], b.v[i], c.v[i]))
FOREFLOW_PACK_OPERATION(Min(const Pack<V, N>& a, const Pack<V, N>& b), Min(a.v[i], b.v[i]))
FOREFLOW_PACK_OPERATION(Max(const Pack<V, N>& a, const Pack<V, N>& b), Max(a.v[i], b.v[i]))
FOREFLOW_PACK_OPERATION(AddExponent(const Pack<V, N>& p, const Pack<V, N>& rounded),
                        AddExponent(p.v[i], rounded.v[i]))
FOREFLOW_PACK_OPERATION(SumOfLanes(const Pack<V, N>& a), SumOfLanes(a.v[i]))
FOREFLOW_PACK_OPERATION(MaxOfLanes(const Pack<V, N>& a), MaxOfLanes(a.v[i]))

#undef FOREFLOW_PACK_OPERATION

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_LANE_PACK_H_
