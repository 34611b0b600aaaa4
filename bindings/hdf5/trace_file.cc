// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/hdf5/trace_file.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "bindings/hdf5/definitions.h"
#include "models/base/refusal.h"

namespace foreflow::hdf5 {
namespace {

constexpr unsigned kDeflateLevel = 1;
constexpr std::size_t kTables = std::size(trace::kTables);

hid_t NativeType(trace::ColumnType type) {
  switch (type) {
    case trace::ColumnType::kU8:
      return H5T_STD_U8LE;
    case trace::ColumnType::kU16:
      return H5T_STD_U16LE;
    case trace::ColumnType::kU32:
      return H5T_STD_U32LE;
    case trace::ColumnType::kU64:
      return H5T_STD_U64LE;
    case trace::ColumnType::kI64:
      return H5T_STD_I64LE;
    case trace::ColumnType::kText:
      break;
  }
  return H5T_C_S1;
}

Id EnumType(const trace::Column& column) {
  if (column.type != trace::ColumnType::kU8) throw std::logic_error("enumerated columns are u8");
  Id type(H5Tenum_create(NativeType(column.type)), H5Tclose);
  std::uint8_t value = 0;
  for (const char* at = column.names;; ++value) {
    const char* end = std::strchr(at, ',');
    const std::string name = end == nullptr ? std::string(at) : std::string(at, end);
    Check(H5Tenum_insert(type.get(), name.c_str(), &value));
    if (end == nullptr) return type;
    at = end + 1;
  }
}

Id ColumnTypeOf(const trace::Column& column) {
  if (column.names != nullptr) return EnumType(column);
  if (column.type == trace::ColumnType::kText) {
    Id type(H5Tcopy(H5T_C_S1), H5Tclose);
    Check(H5Tset_size(type.get(), column.count));
    Check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD));
    return type;
  }
  if (column.count > 1) {
    const hsize_t count = column.count;
    return Id(H5Tarray_create2(NativeType(column.type), 1, &count), H5Tclose);
  }
  return Id(H5Tcopy(NativeType(column.type)), H5Tclose);
}

// Bytes of a row struct that are copied in one piece: neighbouring columns without padding between.
struct Span {
  std::size_t from;  // in the row struct
  std::size_t to;    // in the packed row
  std::size_t size;
};

// One table: rows are packed here, so that the file's type is the memory's and no padding (whose bytes nobody
// sets) reaches the file.
class TableWriter {
 public:
  TableWriter(hid_t file, const trace::Table& table) : name_(table.name) {
    std::size_t packed = 0;
    for (const trace::Column& column : table) {
      const std::size_t size = trace::ElementBytes(column.type) * column.count;
      if (!spans_.empty() && spans_.back().from + spans_.back().size == column.offset) {
        spans_.back().size += size;
      } else {
        spans_.push_back({column.offset, packed, size});
      }
      packed += size;
    }
    row_bytes_ = packed;
    buffer_.resize(row_bytes_ * TraceFile::kChunkRows);

    type_ = Id(H5Tcreate(H5T_COMPOUND, row_bytes_), H5Tclose);
    std::size_t offset = 0;
    for (const trace::Column& column : table) {
      const Id column_type = ColumnTypeOf(column);
      Check(H5Tinsert(type_.get(), column.name, offset, column_type.get()));
      offset += trace::ElementBytes(column.type) * column.count;
    }
    const hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = TraceFile::kChunkRows;
    const Id space(H5Screate_simple(1, &none, &unlimited), H5Sclose);
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    Check(H5Pset_chunk(properties.get(), 1, &chunk));
    Check(H5Pset_shuffle(properties.get()));
    Check(H5Pset_deflate(properties.get(), kDeflateLevel));
    Check(H5Pset_obj_track_times(properties.get(), false));
    dataset_ =
        Id(H5Dcreate2(file, table.name, type_.get(), space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
           H5Dclose);
    SetText(dataset_.get(), "doc", table.doc);
    SetNumber(dataset_.get(), "version", trace::kVersion, H5T_STD_U32LE);
    for (const trace::Column& column : table) {
      SetText(dataset_.get(), std::string(column.name) + ".unit", column.unit);
      SetText(dataset_.get(), std::string(column.name) + ".doc", column.doc);
    }
  }

  // True when the chunk is full and must be written.
  bool Add(const void* row) {
    std::uint8_t* out = buffer_.data() + buffered_ * row_bytes_;
    for (const Span& span : spans_) {
      std::memcpy(out + span.to, static_cast<const std::uint8_t*>(row) + span.from, span.size);
    }
    return ++buffered_ == TraceFile::kChunkRows;
  }

  // Writes the buffered rows: a full chunk, or the last one. A chunk is written once and stays where it is,
  // because HDF5 would give the room of one that moved to another while the file on disk still points to it.
  bool Write() {
    if (buffered_ == 0) return true;
    const hsize_t size = written_ + buffered_, start = written_, count = buffered_;
    if (H5Dset_extent(dataset_.get(), &size) < 0) return false;
    const Id file_space(H5Dget_space(dataset_.get()), H5Sclose);
    const Id memory_space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    if (H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) < 0)
      return false;
    if (H5Dwrite(dataset_.get(), type_.get(), memory_space.get(), file_space.get(), H5P_DEFAULT,
                 buffer_.data()) < 0) {
      return false;
    }
    written_ += buffered_;
    buffered_ = 0;
    return true;
  }

  bool Close() { return dataset_.Close(); }
  const std::string& name() const { return name_; }
  std::uint64_t rows() const { return written_ + buffered_; }

 private:
  std::string name_;
  std::vector<Span> spans_;
  std::size_t row_bytes_ = 0;
  std::vector<std::uint8_t> buffer_;
  std::size_t buffered_ = 0;   // rows in the buffer
  std::uint64_t written_ = 0;  // rows in the file
  Id type_;
  Id dataset_;
};

// Metadata stays in memory between flushes, so that what is on disk is the state of the last flush and not
// a mixture. The old file format has no "open for writing" mark, which would keep readers out after a crash.
Id AccessProperties() {
  Id properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  Check(H5Pset_libver_bounds(properties.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18));
  H5AC_cache_config_t cache{};
  cache.version = H5AC__CURR_CACHE_CONFIG_VERSION;
  Check(H5Pget_mdc_config(properties.get(), &cache));
  cache.evictions_enabled = false;
  cache.incr_mode = H5C_incr__off;
  cache.flash_incr_mode = H5C_flash_incr__off;
  cache.decr_mode = H5C_decr__off;
  Check(H5Pset_mdc_config(properties.get(), &cache));
  return properties;
}

}  // namespace

struct TraceFile::State {
  using Clock = std::chrono::steady_clock;

  std::string path;
  Id file;
  std::vector<TableWriter> tables;
  Clock::time_point last_flush{};
  Clock::duration inside{};

  [[noreturn]] void Fail(const std::string& table) const {
    throw std::runtime_error(path + ": table " + table + " cannot be written" +
                             (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
  }

  void WriteTable(TableWriter& table) {
    errno = 0;
    if (!table.Write()) Fail(table.name());
  }

  void FlushFile() {
    errno = 0;
    if (H5Fflush(file.get(), H5F_SCOPE_LOCAL) < 0) Fail("(all)");
    last_flush = Clock::now();
  }
};

TraceFile::TraceFile(const std::string& path) : state_(std::make_unique<State>()) {
  // Errors are reported by exception, not by HDF5's own trace on standard error.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  state_->path = path;
  const Id access = AccessProperties();
  errno = 0;
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get());
  if (file < 0) {
    throw Refusal(path + ": the trace cannot be created" +
                  (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
  }
  state_->file = Id(file, H5Fclose);
  SetText(file, "format", "foreflow trace");
  SetNumber(file, "version", trace::kVersion, H5T_STD_U32LE);
  state_->tables.reserve(kTables);
  for (const trace::Table* table : trace::kTables) state_->tables.emplace_back(file, *table);
  state_->FlushFile();
}

TraceFile::~TraceFile() {
  try {
    Close();
  } catch (const std::exception&) {
    // Close() reports; a destructor cannot.
  }
}

void TraceFile::Append(std::size_t table, const void* row) {
  TableWriter& writer = state_->tables[table];
  if (!writer.Add(row)) return;
  const auto begin = State::Clock::now();
  state_->WriteTable(writer);
  if (begin - state_->last_flush > std::chrono::duration<double>(kFlushSeconds)) state_->FlushFile();
  state_->inside += State::Clock::now() - begin;
}

std::uint64_t TraceFile::rows(std::size_t table) const { return state_->tables[table].rows(); }

void TraceFile::Flush() {
  const auto begin = State::Clock::now();
  state_->FlushFile();
  state_->inside += State::Clock::now() - begin;
}

void TraceFile::Close() {
  if (state_->file.get() < 0) return;
  const auto begin = State::Clock::now();
  for (TableWriter& table : state_->tables) state_->WriteTable(table);
  state_->FlushFile();
  errno = 0;
  bool closed = true;
  for (TableWriter& table : state_->tables) closed = table.Close() && closed;
  if (!state_->file.Close() || !closed) state_->Fail("(all)");
  state_->inside += State::Clock::now() - begin;
}

double TraceFile::write_seconds() const { return std::chrono::duration<double>(state_->inside).count(); }

}  // namespace foreflow::hdf5
