// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/program/run_program.h"

#include <cstdio>
#include <exception>

#include "models/base/refusal.h"

namespace foreflow {
namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;

}  // namespace

int RunProgram(CLI::App& app, int argc, char** argv, const std::function<void()>& run) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "command line: %s\n", error.what());
    return kRefused;
  }
  try {
    run();
  } catch (const Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return kRefused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return kFailed;
  }
  return 0;
}

}  // namespace foreflow
