// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_EAL_H_
#define FOREFLOW_BINDINGS_DPDK_EAL_H_

#include <string>
#include <vector>

namespace foreflow::dpdk {

enum class Placement { kFloating, kPinned };

// DPDK's environment abstraction layer, started once a process. The thread that starts it becomes the main
// lcore.
class Eal {
 public:
  // `arguments` without the program's name. Cores for `workers` workers are chosen here where the arguments
  // choose none: with kPinned and enough CPUs each worker is kept on one, else they float over all. Throws
  // Refusal with the line the EAL logged when it does not start, and when the chosen cores are fewer than
  // workers + 1.
  Eal(const std::vector<std::string>& arguments, unsigned workers, Placement placement);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  // The worker cores, in order of their number.
  const std::vector<unsigned>& worker_lcores() const { return worker_lcores_; }
  // The first line in which the EAL complained while it started all the same, e.g. of a port that it left
  // out; empty where there is none.
  const std::string& complaint() const { return complaint_; }

 private:
  std::vector<unsigned> worker_lcores_;
  std::string complaint_;
};

// The arguments of an EAL that needs no rights, no huge pages and no device: memory of this process alone.
std::vector<std::string> UnprivilegedEal(unsigned megabytes);

// What the last failed DPDK call left behind, in words: `result` where it is negative, else rte_errno.
std::string ErrorOf(int result = 0);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_EAL_H_
