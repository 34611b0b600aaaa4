// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_HDF5_DEFINITIONS_H_
#define FOREFLOW_BINDINGS_HDF5_DEFINITIONS_H_

#include <hdf5.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace foreflow::hdf5 {

// An HDF5 identifier that is closed when it goes.
class Id {
 public:
  using Closer = herr_t (*)(hid_t);
  Id() = default;
  // Throws std::runtime_error where `id` is what a call that failed returned.
  Id(hid_t id, Closer closer) : id_(id), closer_(closer) {
    if (id_ < 0) throw std::runtime_error("HDF5 refused a definition");
  }
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    return *this;
  }
  ~Id() { Close(); }
  // False where that failed: what was buffered may be lost. Once; nothing of one that is closed or empty.
  bool Close() {
    const hid_t id = std::exchange(id_, -1);
    return id < 0 || closer_(id) >= 0;
  }
  hid_t get() const { return id_; }

 private:
  hid_t id_ = -1;
  Closer closer_ = nullptr;
};

// Throws std::runtime_error where a call failed.
inline void Check(herr_t result) {
  if (result < 0) throw std::runtime_error("HDF5 refused a definition");
}

// Attributes of an object: a text (UTF-8, variable length), a list of them, a number. Throw as Id does.
void SetText(hid_t object, const std::string& name, const std::string& text);
void SetTexts(hid_t object, const std::string& name, const std::vector<std::string>& texts);
void SetNumber(hid_t object, const std::string& name, std::int64_t value, hid_t type = H5T_STD_I64LE);

}  // namespace foreflow::hdf5

#endif  // FOREFLOW_BINDINGS_HDF5_DEFINITIONS_H_
