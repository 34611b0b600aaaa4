// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dataset/dataset_file.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "bindings/hdf5/definitions.h"
#include "models/base/refusal.h"

namespace foreflow::dataset {
namespace {

using hdf5::Check;
using hdf5::Id;

constexpr hsize_t kChunkRows = 16384;
constexpr unsigned kDeflateLevel = 4;
constexpr std::size_t kTrainPercent = 60, kValidationEndPercent = 80;

// One table column, rows of `width` values of a type, written a source at a time.
class Column {
 public:
  Column(hid_t file, const std::string& name, hid_t stored, hid_t memory, std::size_t rows, std::size_t width)
      : memory_(memory), width_(width) {
    const hsize_t size[2] = {rows, width};
    const hsize_t chunk[2] = {std::clamp<hsize_t>(rows, 1, kChunkRows), std::max<hsize_t>(width, 1)};
    rank_ = width == 1 ? 1 : 2;
    const Id space(H5Screate_simple(rank_, size, nullptr), H5Sclose);
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    Check(H5Pset_create_intermediate_group(links.get(), 1));
    Check(H5Pset_obj_track_times(properties.get(), false));
    if (rows > 0 && width > 0) {
      Check(H5Pset_chunk(properties.get(), rank_, chunk));
      Check(H5Pset_shuffle(properties.get()));
      Check(H5Pset_deflate(properties.get(), kDeflateLevel));
    }
    dataset_ =
        Id(H5Dcreate2(file, name.c_str(), stored, space.get(), links.get(), properties.get(), H5P_DEFAULT),
           H5Dclose);
  }

  hid_t get() const { return dataset_.get(); }

  template <typename T>
  void Append(const std::vector<T>& values) {
    if (values.empty()) return;
    const hsize_t start[2] = {written_, 0}, count[2] = {values.size() * sizeof(T) / bytes() / width_, width_};
    const Id space(H5Dget_space(dataset_.get()), H5Sclose);
    const Id memory(H5Screate_simple(rank_, count, nullptr), H5Sclose);
    Check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr));
    if (H5Dwrite(dataset_.get(), memory_, memory.get(), space.get(), H5P_DEFAULT, values.data()) < 0) {
      throw std::runtime_error(errno != 0 ? std::strerror(errno) : "HDF5 cannot write");
    }
    written_ += count[0];
  }

 private:
  std::size_t bytes() const { return H5Tget_size(memory_); }

  Id dataset_;
  hid_t memory_;
  std::size_t width_;
  int rank_ = 1;
  hsize_t written_ = 0;
};

std::vector<std::string> NamesOf(const std::vector<Target>& targets) {
  std::vector<std::string> names;
  for (const Target& target : targets) names.push_back(target.name);
  return names;
}

void WriteAttributes(hid_t file, const Description& description, Nanos horizon,
                     const std::vector<Source>& sources) {
  hdf5::SetNumber(file, "format", kFormat);
  hdf5::SetText(file, "task", description.task);
  hdf5::SetNumber(file, "feature_set", description.feature_set);
  hdf5::SetNumber(file, "symbols", description.symbols);
  hdf5::SetTexts(file, "input_names", description.input_names);
  hdf5::SetNumber(file, "horizon_ns", horizon.count());
  hdf5::SetNumber(file, "seed", 0);
  hdf5::SetTexts(file, "targets", NamesOf(description.targets));
  std::vector<std::string> names, digests, held_out;
  for (const Source& source : sources) {
    names.push_back(source.name);
    digests.push_back(source.sha256);
    if (source.held_out) held_out.push_back(source.name);
  }
  hdf5::SetTexts(file, "sources", names);
  hdf5::SetTexts(file, "source_sha256", digests);
  hdf5::SetTexts(file, "held_out", held_out);
}

void WriteRows(hid_t file, const Description& description, const std::vector<Rows>& all) {
  std::size_t rows = 0;
  for (const Rows& each : all) rows += each.size();
  const std::size_t inputs = description.input_names.size();
  const auto one = [&](const char* name, hid_t stored, hid_t memory, auto member) {
    Column column(file, std::string("rows/") + name, stored, memory, rows, 1);
    for (const Rows& each : all) column.Append(each.*member);
  };
  one("time_ns", H5T_STD_I64LE, H5T_NATIVE_INT64, &Rows::time_ns);
  one("vm", H5T_STD_U16LE, H5T_NATIVE_UINT16, &Rows::vm);
  one("split", H5T_STD_U8LE, H5T_NATIVE_UINT8, &Rows::split);
  one("symbol", H5T_STD_U8LE, H5T_NATIVE_UINT8, &Rows::symbol);
  one("next_time_ns", H5T_STD_I64LE, H5T_NATIVE_INT64, &Rows::next_time_ns);
  one("resolved_ns", H5T_STD_I64LE, H5T_NATIVE_INT64, &Rows::resolved_ns);
  one("known_packets", H5T_STD_U8LE, H5T_NATIVE_UINT8, &Rows::known_packets);

  Column sequence(file, "rows/sequence", H5T_STD_U32LE, H5T_NATIVE_UINT32, rows, 1);
  Column source(file, "rows/source", H5T_STD_U16LE, H5T_NATIVE_UINT16, rows, 1);
  Column values(file, "rows/inputs", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, rows, inputs);
  Column context(file, "rows/context", H5T_STD_U8LE, H5T_NATIVE_UINT8, rows, 4);
  std::uint32_t first_sequence = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::uint32_t> numbers = all[i].sequence;
    std::uint32_t next = first_sequence;
    for (std::uint32_t& number : numbers) next = std::max(next, (number += first_sequence) + 1);
    first_sequence = next;
    sequence.Append(numbers);
    source.Append(std::vector<std::uint16_t>(all[i].size(), static_cast<std::uint16_t>(i)));
    if (inputs > 0) values.Append(all[i].inputs);
    context.Append(all[i].context);
  }

  for (std::size_t t = 0; t < description.targets.size(); ++t) {
    const Target& target = description.targets[t];
    const bool is_class = !target.classes.empty();
    Column column(file, "targets/" + target.name, is_class ? H5T_STD_I8LE : H5T_IEEE_F32LE,
                  is_class ? H5T_NATIVE_INT8 : H5T_NATIVE_FLOAT, rows, 1);
    hdf5::SetTexts(column.get(), "classes", target.classes);
    hdf5::SetText(column.get(), "unit", target.unit);
    for (const Rows& each : all) {
      if (is_class)
        column.Append(each.classes[t]);
      else
        column.Append(each.values[t]);
    }
  }
}

}  // namespace

void SplitByTime(Nanos horizon, bool held_out, const std::vector<std::vector<std::int64_t>>& known_ns,
                 Rows& rows) {
  const std::size_t count = rows.size();
  rows.split.assign(count, kTest);
  if (held_out || count == 0) return;
  const std::int64_t ends[] = {rows.time_ns[count * kTrainPercent / 100],
                               rows.time_ns[count * kValidationEndPercent / 100]};
  for (std::size_t row = 0; row < count; ++row) {
    const std::int64_t time = rows.time_ns[row];
    if (time >= ends[1]) continue;
    const std::uint8_t split = time < ends[0] ? kTrain : kValidation;
    const std::int64_t end = ends[split];
    if (end - time <= horizon.count()) {
      rows.split[row] = kDropped;
      continue;
    }
    rows.split[row] = split;
    for (std::size_t t = 0; t < known_ns.size(); ++t) {
      if (known_ns[t][row] >= 0 && known_ns[t][row] < end) continue;
      if (!rows.classes[t].empty())
        rows.classes[t][row] = -1;
      else
        rows.values[t][row] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

void WriteDataset(const std::string& path, const Description& description, Nanos horizon,
                  const std::vector<Source>& sources, const std::vector<Rows>& rows) {
  // Errors are reported by exception, not by HDF5's own trace on standard error.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  errno = 0;
  const hid_t created = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  if (created < 0) {
    throw Refusal(path + ": the dataset cannot be created" +
                  (errno != 0 ? std::string(": ") + std::strerror(errno) : "") +
                  "; name a file in a folder that exists");
  }
  Id file(created, H5Fclose);
  try {
    errno = 0;
    WriteAttributes(file.get(), description, horizon, sources);
    WriteRows(file.get(), description, rows);
    if (H5Fflush(file.get(), H5F_SCOPE_LOCAL) < 0 || !file.Close()) {
      throw std::runtime_error(errno != 0 ? std::strerror(errno) : "HDF5 cannot write");
    }
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": the dataset cannot be written: " + error.what());
  }
}

}  // namespace foreflow::dataset
