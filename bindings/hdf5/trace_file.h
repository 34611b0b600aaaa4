// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_HDF5_TRACE_FILE_H_
#define FOREFLOW_BINDINGS_HDF5_TRACE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "models/base/trace_events.h"

namespace foreflow::hdf5 {

// The index of Row's table in trace::kTables.
template <typename Row>
constexpr std::size_t TableIndex() {
  std::size_t index = 0;
  while (trace::kTables[index] != &trace::kTable<Row>) ++index;
  return index;
}

// trace.h5 while it is written: one chunked, compressed dataset a table, its columns, units and names taken
// from trace::kTables. Rows are buffered a chunk at a time, and the file is brought into a consistent state
// at the latest every kFlushSeconds of writing: a process that dies in between leaves a file that opens and
// holds the full chunks of the last flush. One killed inside a flush (milliseconds) may leave a last chunk of
// zeros.
//
// Not thread-safe, and HDF5 itself is not either: one thread for all files.
class TraceFile {
 public:
  static constexpr std::size_t kChunkRows = 4096;
  static constexpr double kFlushSeconds = 0.5;  // wall time

  // Creates (or replaces) the file with all tables empty. Throws Refusal when it cannot be created.
  explicit TraceFile(const std::string& path);
  // Closes; an error on this way out is lost, so call Close() where that matters.
  ~TraceFile();
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  // Throws std::runtime_error naming the file and table when the disk does not take the rows.
  template <typename Row>
  void Append(const Row& row) {
    Append(TableIndex<Row>(), &row);
  }

  // Rows appended so far.
  template <typename Row>
  std::uint64_t rows() const {
    return rows(TableIndex<Row>());
  }

  // Brings the file into a consistent state that holds all full chunks; up to kChunkRows - 1 rows a table
  // stay buffered until Close. Throws as Append.
  void Flush();
  // Writes what is buffered and closes; nothing may be appended afterwards. Throws as Append.
  void Close();

  // Wall time spent inside HDF5 so far, in seconds: what tracing costs a run.
  double write_seconds() const;

 private:
  void Append(std::size_t table, const void* row);
  std::uint64_t rows(std::size_t table) const;

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::hdf5

#endif  // FOREFLOW_BINDINGS_HDF5_TRACE_FILE_H_
