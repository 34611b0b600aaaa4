// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_HDF5_ID_H_
#define FOREFLOW_BINDINGS_EVALUATE_HDF5_ID_H_

#include <hdf5.h>

#include <utility>

namespace foreflow::evaluate {

// An HDF5 identifier that is closed when it goes; may be invalid.
class Id {
 public:
  using Closer = herr_t (*)(hid_t);
  Id() = default;
  Id(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    return *this;
  }
  ~Id() {
    if (id_ >= 0) closer_(id_);
  }
  bool valid() const { return id_ >= 0; }
  hid_t get() const { return id_; }

 private:
  hid_t id_ = -1;
  Closer closer_ = nullptr;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_HDF5_ID_H_
