// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/eal.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

// What the EAL prints while it starts goes to a file: its usage text must stay out of standard output, and
// its complaints are quoted in the refusal.
class Capturing {
 public:
  Capturing() : file_(std::tmpfile()) {
    if (file_ == nullptr) return;
    std::fflush(nullptr);
    for (int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      saved_[stream] = ::dup(stream);
      ::dup2(::fileno(file_), stream);
    }
  }
  ~Capturing() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Capturing(const Capturing&) = delete;
  Capturing& operator=(const Capturing&) = delete;

  std::string End() {
    if (file_ == nullptr) return {};
    std::fflush(nullptr);
    for (int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      ::dup2(saved_[stream], stream);
      ::close(saved_[stream]);
    }
    std::string text;
    std::rewind(file_);
    char part[4096];
    for (std::size_t got; (got = std::fread(part, 1, sizeof part, file_)) > 0;) text.append(part, got);
    return text;
  }

 private:
  std::FILE* file_;
  int saved_[STDERR_FILENO + 1] = {};
};

// The line that says why: the first that complains.
std::string Complaint(const std::string& text) {
  static const char* const kSigns[] = {"unrecognized", "unknown", "annot ",        "invalid",
                                       "Invalid",      "failed",  "ailed to",      "not enough",
                                       "No such",      "no such", "rror",          "requires",
                                       "Conflicting",  "missing", "not compatible"};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Usage: ", 0) == 0) break;
    for (const char* sign : kSigns) {
      if (line.find(sign) == std::string::npos) continue;
      const std::size_t start = line.rfind("EAL: ", 0) == 0 ? 5 : 0;
      return line.substr(start);
    }
  }
  return {};
}

bool IsCoreOption(const std::string& argument) {
  return argument.rfind("--lcores", 0) == 0 ||
         (argument.rfind("--", 0) != 0 && argument.rfind("-l", 0) == 0) ||
         (argument.rfind("--", 0) != 0 && argument.rfind("-c", 0) == 0);
}

// lcore 0 is the main one and floats; workers have a CPU each as far as those go.
std::string CoreMap(unsigned workers, Placement placement) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  std::string all = "(";
  for (std::size_t i = 0; i < cpus.size(); ++i) all += (i == 0 ? "" : ",") + std::to_string(cpus[i]);
  all += ")";
  std::string map = "0@" + all;
  for (unsigned worker = 0; worker < workers; ++worker) {
    // The last CPUs first: the first one serves the kernel's interrupts.
    const std::string place = placement == Placement::kPinned && workers < cpus.size()
                                  ? std::to_string(cpus[cpus.size() - 1 - worker])
                                  : all;
    map += "," + std::to_string(worker + 1) + "@" + place;
  }
  return map;
}

}  // namespace

std::string ErrorOf(int result) { return rte_strerror(result < 0 ? -result : rte_errno); }

std::vector<std::string> UnprivilegedEal(unsigned megabytes) {
  return {"--no-huge",
          "-m",
          std::to_string(megabytes),
          "--no-pci",
          "--no-shconf",
          "--no-telemetry",
          "--file-prefix=foreflow"};
}

Eal::Eal(const std::vector<std::string>& arguments, unsigned workers, Placement placement) {
  std::vector<std::string> words = {"foreflow-dpdk"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const bool chosen = std::any_of(arguments.begin(), arguments.end(), IsCoreOption);
  if (!chosen) words.push_back("--lcores=" + CoreMap(workers, placement));
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  Capturing capturing;
  const int taken = rte_eal_init(static_cast<int>(words.size()), pointers.data());
  const int error = rte_errno;
  const std::string log = capturing.End();
  if (taken < 0) {
    const std::string why = Complaint(log);
    std::string sentence =
        "EAL: " + (why.empty() ? "it does not start" : why) + " (" + rte_strerror(error) + ")";
    if (why.find("hugepage") != std::string::npos) {
      sentence += "; give --no-huge after --, or set huge pages up";
    } else if (why.find("emory") != std::string::npos || error == ENOMEM) {
      sentence += "; give it more memory with -m MEGABYTES after --";
    } else {
      sentence +=
          "; arguments after -- are DPDK's own, e.g. --no-huge -m 512 --no-pci "
          "--vdev=net_af_packet0,iface=eth1";
    }
    throw Refusal(sentence);
  }
  complaint_ = Complaint(log);
  unsigned lcore;
  RTE_LCORE_FOREACH_WORKER(lcore) worker_lcores_.push_back(lcore);
  if (worker_lcores_.size() < workers) {
    const std::size_t found = worker_lcores_.size();
    rte_eal_cleanup();
    throw Refusal("command line", "--workers", std::to_string(workers),
                  "up to " + std::to_string(found) + ", since the EAL was given " +
                      std::to_string(found + 1) +
                      " cores and one is the main one; give more with --lcores, or leave the cores out");
  }
  worker_lcores_.resize(workers);
}

Eal::~Eal() { rte_eal_cleanup(); }

}  // namespace foreflow::dpdk
