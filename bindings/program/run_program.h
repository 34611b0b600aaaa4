// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PROGRAM_RUN_PROGRAM_H_
#define FOREFLOW_BINDINGS_PROGRAM_RUN_PROGRAM_H_

#include <CLI/CLI.hpp>
#include <functional>

namespace foreflow {

// What a program of this project is: parses the command line and runs. Returns the exit code: 0 done, 1
// failed while running, 2 refused (a Refusal, or a word of the command line); with a sentence on standard
// error.
int RunProgram(CLI::App& app, int argc, char** argv, const std::function<void()>& run);

}  // namespace foreflow

#endif  // FOREFLOW_BINDINGS_PROGRAM_RUN_PROGRAM_H_
