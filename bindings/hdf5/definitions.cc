// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/hdf5/definitions.h"

namespace foreflow::hdf5 {
namespace {

Id TextType() {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  Check(H5Tset_size(type.get(), H5T_VARIABLE));
  Check(H5Tset_cset(type.get(), H5T_CSET_UTF8));
  return type;
}

void Set(hid_t object, const std::string& name, const Id& space, hid_t type, hid_t memory_type,
         const void* value) {
  const Id attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (H5Sget_simple_extent_npoints(space.get()) > 0) Check(H5Awrite(attribute.get(), memory_type, value));
}

}  // namespace

void SetText(hid_t object, const std::string& name, const std::string& text) {
  const Id type = TextType();
  const char* value = text.c_str();
  Set(object, name, Id(H5Screate(H5S_SCALAR), H5Sclose), type.get(), type.get(), &value);
}

void SetTexts(hid_t object, const std::string& name, const std::vector<std::string>& texts) {
  std::vector<const char*> values;
  values.reserve(texts.size());
  for (const std::string& text : texts) values.push_back(text.c_str());
  const Id type = TextType();
  const hsize_t count = texts.size();
  Set(object, name, Id(H5Screate_simple(1, &count, nullptr), H5Sclose), type.get(), type.get(),
      values.data());
}

void SetNumber(hid_t object, const std::string& name, std::int64_t value, hid_t type) {
  Set(object, name, Id(H5Screate(H5S_SCALAR), H5Sclose), type, H5T_NATIVE_INT64, &value);
}

}  // namespace foreflow::hdf5
