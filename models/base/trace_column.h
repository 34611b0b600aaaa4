// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_TRACE_COLUMN_H_
#define FOREFLOW_MODELS_BASE_TRACE_COLUMN_H_

#include <cstddef>
#include <cstdint>

namespace foreflow::trace {

// Of one element, as it lies in memory: in the machine's byte order.
enum class ColumnType : std::uint8_t {
  kU8,
  kU16,
  kU32,
  kU64,
  kI64,
  kText,  // characters padded with zeros: `count` is the length
};

// Bytes of one element.
constexpr std::size_t ElementBytes(ColumnType type) {
  switch (type) {
    case ColumnType::kU8:
    case ColumnType::kText:
      return 1;
    case ColumnType::kU16:
      return 2;
    case ColumnType::kU32:
      return 4;
    case ColumnType::kU64:
    case ColumnType::kI64:
      return 8;
  }
  return 0;
}

// One column of a table: enough to build its HDF5 type and to read it from a row.
struct Column {
  const char* name;
  ColumnType type;
  std::size_t offset;  // bytes from the start of the row struct
  std::size_t count;   // elements; 1 for a scalar
  const char* unit;    // such as "ns" or "byte"; "enum" where `names` says what values mean
  const char* doc;     // one sentence
  const char*
      names;  // of an enumerated column: the names of values 0, 1, ... with commas between; else nullptr
};

// One kind of rows: its columns in order. All that it points to lives as long as the program.
struct Table {
  const char* name;
  const char* doc;
  std::size_t row_bytes;  // of the row struct, padding included
  const Column* columns;
  std::size_t column_count;

  constexpr const Column* begin() const { return columns; }
  constexpr const Column* end() const { return columns + column_count; }
};

// The table that rows of this type belong to: specialised for every row in trace_events.h.
template <typename Row>
extern const Table kTable;

}  // namespace foreflow::trace

#endif  // FOREFLOW_MODELS_BASE_TRACE_COLUMN_H_
