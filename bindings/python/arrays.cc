// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/python/arrays.h"

#include <algorithm>

namespace foreflow::python {
namespace {

std::string FormatOf(const trace::Column& column) {
  switch (column.type) {
    case trace::ColumnType::kU8:
      return "u1";
    case trace::ColumnType::kU16:
      return "<u2";
    case trace::ColumnType::kU32:
      return "<u4";
    case trace::ColumnType::kU64:
      return "<u8";
    case trace::ColumnType::kI64:
      return "<i8";
    case trace::ColumnType::kText:
      break;
  }
  return "S" + std::to_string(column.count);
}

}  // namespace

py::dtype DtypeOf(const trace::Table& table) {
  py::list names, formats, offsets;
  for (const trace::Column& column : table) {
    names.append(column.name);
    std::string format = FormatOf(column);
    if (column.count > 1 && column.type != trace::ColumnType::kText) {
      format = "(" + std::to_string(column.count) + ",)" + format;
    }
    formats.append(format);
    offsets.append(column.offset);
  }
  return py::dtype(names, formats, offsets, static_cast<py::ssize_t>(table.row_bytes));
}

std::size_t IndexOf(const std::vector<std::string>& names, const std::string& name, const std::string& what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    std::string allowed;
    for (const std::string& each : names) allowed += (allowed.empty() ? "" : ", ") + each;
    throw Refusal("argument", what, name, allowed);
  }
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace foreflow::python
