// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_HDF5_ID_H_
#define FOREFLOW_MODELS_TRAIN_HDF5_ID_H_

#include <hdf5.h>

namespace foreflow::train {

// An HDF5 identifier that is closed when it goes.
class Id {
 public:
  using Closer = herr_t (*)(hid_t);
  // `id` may be what a call that failed returned: it is then not open.
  Id(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() {
    if (id_ >= 0) closer_(id_);
  }
  bool is_open() const { return id_ >= 0; }
  hid_t get() const { return id_; }

 private:
  hid_t id_;
  Closer closer_;
};

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_HDF5_ID_H_
