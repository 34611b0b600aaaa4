// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/predictions_file.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models/base/refusal.h"

namespace foreflow::evaluate {
namespace {

using hdf5::Id;

constexpr std::int64_t kFormat = 1;
constexpr unsigned kDeflateLevel = 1;
constexpr hsize_t kChunkRows = 16384;

void Check(bool good, const std::string& path) {
  if (!good) throw std::runtime_error(path + ": cannot be written: is the disk full?");
}

class Writer {
 public:
  Writer(hid_t object, const std::string& path) : object_(object), path_(path) {}

  void Floats(const char* name, const std::vector<float>& values) const {
    const hsize_t count = values.size();
    const Id space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Id attribute(H5Acreate2(object_, name, H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                       H5Aclose);
    Check(H5Awrite(attribute.get(), H5T_NATIVE_FLOAT, values.data()) >= 0, path_);
  }

  // A dataset of rows of `width` values (0: plain numbers).
  template <typename T>
  Id Column(const char* name, hid_t file_type, hid_t memory_type, const std::vector<T>& values,
            std::size_t width) const {
    const std::size_t each = std::max<std::size_t>(width, 1);
    const hsize_t size[2] = {values.size() / each, each};
    const hsize_t chunk[2] = {std::min(size[0], kChunkRows), each};
    const int dimensions = width == 0 ? 1 : 2;
    const Id space(H5Screate_simple(dimensions, size, nullptr), H5Sclose);
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    Check(H5Pset_obj_track_times(properties.get(), false) >= 0, path_);
    if (!values.empty()) {
      Check(H5Pset_chunk(properties.get(), dimensions, chunk) >= 0 && H5Pset_shuffle(properties.get()) >= 0 &&
                H5Pset_deflate(properties.get(), kDeflateLevel) >= 0,
            path_);
    }
    Id dataset(H5Dcreate2(object_, name, file_type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
               H5Dclose);
    if (!values.empty()) {
      Check(H5Dwrite(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, path_);
    }
    return dataset;
  }

  Id Group(const std::string& name) const {
    return Id(H5Gcreate2(object_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  }

 private:
  hid_t object_;
  const std::string& path_;
};

void WriteTarget(const Writer& writer, const TargetPredictions& target, const std::string& path) {
  if (target.levels.empty()) {
    writer.Column("probability", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, target.said, target.width);
  } else {
    const Id quantiles =
        writer.Column("quantiles", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, target.said, target.width);
    Writer(quantiles.get(), path).Floats("levels", target.levels);
  }
  writer.Column("covered", H5T_STD_U8LE, H5T_NATIVE_UINT8, target.covered, 0);
  writer.Column("set_size", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, target.set_size, 0);
  std::vector<std::int64_t> alarms;
  for (const Monitor::Alarm& each : target.alarms) {
    alarms.push_back(each.detector);
    alarms.push_back(static_cast<std::int64_t>(each.row));
  }
  const Id dataset = writer.Column("alarms", H5T_STD_I64LE, H5T_NATIVE_INT64, alarms, 2);
  hdf5::SetTexts(dataset.get(), "detectors", {kDetectors.begin(), kDetectors.end()});
}

}  // namespace

bool TargetPredictions::IsSilent() const {
  return std::all_of(said.begin(), said.end(), [](float each) { return std::isnan(each); });
}

PredictionsFile::PredictionsFile(const std::string& path, const Dataset& data,
                                 const std::vector<std::int64_t>& rows, std::uint64_t seed)
    : path_(path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  if (file < 0) throw Refusal(path + ": cannot be created; name a file in a folder that exists");
  file_ = Id(file, H5Fclose);
  const Writer root(file, path_);
  hdf5::SetNumber(file, "format", kFormat);
  hdf5::SetNumber(file, "seed", static_cast<std::int64_t>(seed));
  hdf5::SetText(file, "task", data.task);
  hdf5::SetText(file, "dataset", data.path);
  root.Column("rows", H5T_STD_I64LE, H5T_NATIVE_INT64, rows, 0);
  root.Group("models");
}

void PredictionsFile::Write(const Dataset& data, const ModelPredictions& model) {
  const Writer root(file_.get(), path_);
  const Id group = root.Group("models/" + model.name);
  const Writer writer(group.get(), path_);
  const Id work = writer.Column("work", H5T_STD_U32LE, H5T_NATIVE_UINT32, model.work, kWorkItems);
  std::vector<std::string> items;
  for (std::size_t i = 0; i < kWorkItems; ++i) items.emplace_back(Name(static_cast<WorkItem>(i)));
  hdf5::SetTexts(work.get(), "items", items);
  for (std::size_t t = 0; t < model.targets.size(); ++t) {
    if (model.targets[t].IsSilent()) continue;
    const Id target = writer.Group(data.targets[t].name);
    WriteTarget(Writer(target.get(), path_), model.targets[t], path_);
  }
}

void PredictionsFile::Close() {
  Check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) >= 0, path_);
  Check(file_.Close(), path_);
}

}  // namespace foreflow::evaluate
