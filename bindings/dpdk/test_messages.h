// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TEST_MESSAGES_H_
#define FOREFLOW_BINDINGS_DPDK_TEST_MESSAGES_H_

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstddef>
#include <string>
#include <vector>

#include "models/base/trace_events.h"

namespace foreflow::dpdk {

// The table messages of a trace, by the names of its columns.
inline std::vector<trace::MessageRow> MessagesOf(const std::string& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, "messages", H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  std::vector<trace::MessageRow> rows(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  const hid_t found = H5Dget_type(set);
  const hid_t kinds = H5Tget_member_type(found, 3);  // an enumeration, as the file has it
  const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(trace::MessageRow));
  H5Tinsert(type, "arrival_ns", HOFFSET(trace::MessageRow, arrival_ns), H5T_NATIVE_INT64);
  H5Tinsert(type, "number", HOFFSET(trace::MessageRow, number), H5T_NATIVE_UINT64);
  H5Tinsert(type, "session", HOFFSET(trace::MessageRow, session), H5T_NATIVE_UINT32);
  H5Tinsert(type, "type", HOFFSET(trace::MessageRow, type), kinds);
  EXPECT_GE(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()), 0);
  for (const hid_t each : {type, kinds, found}) H5Tclose(each);
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  return rows;
}

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TEST_MESSAGES_H_
