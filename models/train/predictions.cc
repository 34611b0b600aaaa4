// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/predictions.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "models/base/refusal.h"
#include "models/train/hdf5_id.h"
#include "models/train/reference.h"

namespace foreflow::train {
namespace {

constexpr unsigned kDeflateLevel = 1;
constexpr hsize_t kChunkRows = 16384;

class Writer {
 public:
  explicit Writer(const std::string& path)
      : path_(path), file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose) {
    if (!file_.is_open()) throw Refusal(path + ": cannot be created; name a file in a folder that exists");
  }

  hid_t file() const { return file_.get(); }

  void Check(bool good) const {
    if (!good) throw std::runtime_error(path_ + ": cannot be written: is the disk full?");
  }

  void Number(const char* name, std::int64_t value) const {
    const Id space(H5Screate(H5S_SCALAR), H5Sclose);
    const Id attribute(H5Acreate2(file(), name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                       H5Aclose);
    Check(attribute.is_open() && H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value) >= 0);
  }

  void Text(const char* name, const std::string& text) const {
    const Id type(H5Tcopy(H5T_C_S1), H5Tclose);
    Check(H5Tset_size(type.get(), H5T_VARIABLE) >= 0 && H5Tset_cset(type.get(), H5T_CSET_UTF8) >= 0);
    const Id space(H5Screate(H5S_SCALAR), H5Sclose);
    const Id attribute(H5Acreate2(file(), name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const char* value = text.c_str();
    Check(attribute.is_open() && H5Awrite(attribute.get(), type.get(), &value) >= 0);
  }

  // rows x columns values (columns = 0: plain numbers), with `levels` as an attribute where there are any.
  void Column(const std::string& name, hid_t file_type, hid_t memory_type, const void* values, hsize_t rows,
              hsize_t columns, const std::vector<float>& levels) const {
    const hsize_t size[2] = {rows, std::max<hsize_t>(columns, 1)};
    const hsize_t chunk[2] = {std::min(rows, kChunkRows), size[1]};
    const int axes = columns == 0 ? 1 : 2;
    const Id space(H5Screate_simple(axes, size, nullptr), H5Sclose);
    const Id create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    Check(H5Pset_obj_track_times(create.get(), false) >= 0 && H5Pset_chunk(create.get(), axes, chunk) >= 0 &&
          H5Pset_shuffle(create.get()) >= 0 && H5Pset_deflate(create.get(), kDeflateLevel) >= 0);
    const Id link(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    Check(H5Pset_create_intermediate_group(link.get(), 1) >= 0);
    const Id dataset(
        H5Dcreate2(file(), name.c_str(), file_type, space.get(), link.get(), create.get(), H5P_DEFAULT),
        H5Dclose);
    Check(dataset.is_open() &&
          H5Dwrite(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    if (levels.empty()) return;
    const hsize_t count = levels.size();
    const Id line(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Id attribute(
        H5Acreate2(dataset.get(), "levels", H5T_IEEE_F32LE, line.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    Check(attribute.is_open() && H5Awrite(attribute.get(), H5T_NATIVE_FLOAT, levels.data()) >= 0);
  }

 private:
  std::string path_;
  Id file_;
};

// Outputs of every row: rows x outputs.
std::vector<float> Predict(const predict::Model& model, const Dataset& dataset) {
  const std::size_t inputs = dataset.input_names.size(), outputs = model.outputs();
  const std::uint32_t sequences = *std::max_element(dataset.sequence.begin(), dataset.sequence.end()) + 1;
  std::vector<std::vector<std::uint32_t>> rows(sequences);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    rows[dataset.sequence[row]].push_back(static_cast<std::uint32_t>(row));
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<Steps> steps;
  for (const std::vector<std::uint32_t>& sequence : rows) {
    Steps one;
    for (const std::uint32_t row : sequence) {
      one.symbol.push_back(dataset.symbol[row]);
      const auto begin = dataset.inputs.begin() + static_cast<std::ptrdiff_t>(row * inputs);
      one.input.insert(one.input.end(), begin, begin + static_cast<std::ptrdiff_t>(inputs));
    }
    steps.push_back(std::move(one));
  }
  std::vector<float> all(dataset.rows() * outputs);
  const std::vector<std::vector<float>> results = Reference(model).Run(steps);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t step = 0; step < rows[i].size(); ++step) {
      std::copy_n(results[i].begin() + static_cast<std::ptrdiff_t>(step * outputs), outputs,
                  all.begin() + static_cast<std::ptrdiff_t>(rows[i][step] * outputs));
    }
  }
  return all;
}

}  // namespace

void WritePredictions(const std::string& path, const std::string& data_path, const predict::Model& model,
                      const Dataset& dataset) {
  if (model.inputs != dataset.input_names.size() || model.symbols != dataset.symbols) {
    throw Refusal(data_path + ": has " + std::to_string(dataset.symbols) + " symbols and " +
                  std::to_string(dataset.input_names.size()) + " inputs, allowed: the model's " +
                  std::to_string(model.symbols) + " and " + std::to_string(model.inputs));
  }
  const std::vector<float> all = Predict(model, dataset);
  const Writer writer(path);
  writer.Number("format", 1);
  writer.Number("seed", static_cast<std::int64_t>(model.seed));
  writer.Text("task", dataset.task);
  writer.Text("dataset", data_path);
  std::vector<std::int64_t> rows(dataset.rows());
  std::iota(rows.begin(), rows.end(), 0);
  writer.Column("rows", H5T_STD_I64LE, H5T_NATIVE_INT64, rows.data(), rows.size(), 0, {});
  std::size_t first = 0;
  for (const predict::Head& head : model.heads) {
    std::vector<float> own;
    own.reserve(rows.size() * head.outputs());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(row * model.outputs() + first);
      own.insert(own.end(), from, from + static_cast<std::ptrdiff_t>(head.outputs()));
    }
    first += head.outputs();
    writer.Column("models/libtorch/" + head.target + (head.IsClass() ? "/probability" : "/quantiles"),
                  H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, own.data(), rows.size(), head.outputs(), head.levels);
  }
}

}  // namespace foreflow::train
