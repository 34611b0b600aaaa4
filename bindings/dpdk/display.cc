// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/display.h"

#include <unistd.h>

#include <cstdio>
#include <numeric>

namespace foreflow::dpdk {
namespace {

std::uint64_t DroppedOf(const NicCount& count) {
  return std::accumulate(count.packets.dropped.begin(), count.packets.dropped.end(), std::uint64_t{0});
}

double Rate(std::uint64_t from, std::uint64_t to, double seconds) {
  return seconds > 0 ? static_cast<double>(to - from) / seconds : 0;
}

std::string Rounded(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

std::string LineOf(double seconds, const NicCount& from, const NicCount& to) {
  const std::uint64_t decided = to.decided - from.decided;
  const double punts = decided == 0 ? 0
                                    : 1000 * static_cast<double>(to.path.punts - from.path.punts) /
                                          static_cast<double>(decided);
  return "in " + Rounded(Rate(from.packets.in, to.packets.in, seconds), "%.0f") + " pps, out " +
         Rounded(Rate(from.packets.out, to.packets.out, seconds), "%.0f") + " pps, dropped " +
         Rounded(Rate(DroppedOf(from), DroppedOf(to), seconds), "%.0f") + " pps, punts " +
         Rounded(punts, "%.1f") + " per thousand, held " + std::to_string(to.packets.held);
}

Display::Display() : terminal_(::isatty(STDERR_FILENO) != 0) {}

void Display::Show(double seconds, const NicCount& count) {
  if (last_.ports.empty()) last_.ports = count.ports;
  const std::string line = LineOf(seconds - last_seconds_, last_, count);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%.0f s  %s", seconds, line.c_str());
  } else {
    std::fprintf(stderr, "%.0f s  %s\n", seconds, line.c_str());
  }
  std::fflush(stderr);
  shown_ = true;
  last_ = count;
  last_seconds_ = seconds;
}

void Display::End() {
  if (terminal_ && shown_) std::fprintf(stderr, "\n");
}

}  // namespace foreflow::dpdk
