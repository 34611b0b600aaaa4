// SPDX-License-Identifier: BSD-3-Clause
#include <ATen/Parallel.h>
#include <time.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <tuple>

// The peer of our kernels: a recurrent cell of 8 inputs, a linear head of 7 classes and softmax, as libtorch
// makes a step, in one thread. Reads lines "gru|lstm HIDDEN BATCH"; answers each with the nanoseconds of a
// step of one of the BATCH flows, over some tens of milliseconds.
namespace {

constexpr std::int64_t kInputs = 8, kClasses = 7;
constexpr double kSeconds = 0.03;

struct Peer {
  Peer(const std::string& kind, std::int64_t hidden, std::int64_t batch)
      : is_gru(kind == "gru"),
        gru(kInputs, hidden),
        lstm(kInputs, hidden),
        head(hidden, kClasses),
        input(torch::randn({batch, kInputs})),
        h(torch::zeros({batch, hidden})),
        c(torch::zeros({batch, hidden})) {}

  void Step() {
    if (is_gru) {
      h = gru->forward(input, h);
    } else {
      std::tie(h, c) = lstm->forward(input, std::make_tuple(h, c));
    }
    probability = torch::softmax(head->forward(h), 1);
  }

  bool is_gru;
  torch::nn::GRUCell gru;
  torch::nn::LSTMCell lstm;
  torch::nn::Linear head;
  torch::Tensor input, h, c, probability;
};

// Of the processor, used by this thread: libtorch has no other here.
double Now() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

double NanosOfAStep(Peer& peer, std::int64_t batch) {
  const double begin = Now();
  double passed = 0;
  std::int64_t steps = 0;
  while (passed < kSeconds) {
    for (int i = 0; i < 50; ++i) peer.Step();
    steps += 50;
    passed = Now() - begin;
  }
  return passed * 1e9 / static_cast<double>(steps * batch);
}

}  // namespace

int main() {
  at::set_num_threads(1);
  const c10::InferenceMode inference;
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, Peer> peers;
  std::string kind;
  for (std::int64_t hidden, batch; std::cin >> kind >> hidden >> batch;) {
    auto& peer = peers.try_emplace({kind, hidden, batch}, kind, hidden, batch).first->second;
    std::printf("%.3f\n", NanosOfAStep(peer, batch));
    std::fflush(stdout);
  }
  return 0;
}
