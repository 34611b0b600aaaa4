// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/bench/peer_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace foreflow::bench {

PeerProcess::PeerProcess(const std::string& program) : program_(program) {
  int down[2], up[2];
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0)
    throw std::runtime_error(program + ": no pipe can be made");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO);
  std::string name = program;
  char* arguments[] = {name.data(), nullptr};
  const int failed = posix_spawn(&child_, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(down[0]);
  close(up[1]);
  to_ = fdopen(down[1], "w");
  from_ = fdopen(up[0], "r");
  if (failed != 0) {
    std::fclose(to_);
    std::fclose(from_);
    throw std::runtime_error(program + ": cannot be started");
  }
}

PeerProcess::~PeerProcess() {
  std::fclose(to_);  // it ends with its input
  std::fclose(from_);
  waitpid(child_, nullptr, 0);
}

double PeerProcess::Ask(const std::string& question) {
  double answer = 0;
  std::fprintf(to_, "%s\n", question.c_str());
  std::fflush(to_);
  if (std::fscanf(from_, "%lf", &answer) != 1)
    throw std::runtime_error(program_ + ": no answer to '" + question + "'");
  return answer;
}

}  // namespace foreflow::bench
