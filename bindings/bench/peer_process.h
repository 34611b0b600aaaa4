// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_BENCH_PEER_PROCESS_H_
#define FOREFLOW_BINDINGS_BENCH_PEER_PROCESS_H_

#include <sys/types.h>

#include <cstdio>
#include <string>

namespace foreflow::bench {

// A peer in a program of its own, so that its libraries and threads stay out of ours: it reads a question a
// line and answers with one number a line. It waits in between, so it can be measured in turn with us.
class PeerProcess {
 public:
  // Throws std::runtime_error where the program does not start.
  explicit PeerProcess(const std::string& program);
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  // Throws std::runtime_error where it does not answer.
  double Ask(const std::string& question);

 private:
  std::string program_;
  pid_t child_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace foreflow::bench

#endif  // FOREFLOW_BINDINGS_BENCH_PEER_PROCESS_H_
