// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_TEST_BOOK_ROWS_H_
#define FOREFLOW_MODELS_SHARD_TEST_BOOK_ROWS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <string>

#include "models/base/test_estimate.h"

namespace foreflow::shard {

constexpr double kOverhead = 106;  // a fragment's, on the wire

inline std::string Text(const char* format, ...) __attribute__((format(printf, 1, 2)));
inline std::string Text(const char* format, ...) {
  std::array<char, 200> text;
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(text.data(), text.size(), format, values);
  va_end(values);
  return text.data();
}
inline std::string Interval(const Estimate& estimate) {
  return Text("%.4g .. %.4g", estimate.mean() - estimate.half(), estimate.mean() + estimate.half());
}

// The rows that the table of docs/validation.md has for one item must be these.
class BookRows {
 public:
  explicit BookRows(const std::string& item) : start_("| " + item + " | ") {}
  ~BookRows() {
    std::ifstream page(FOREFLOW_SOURCE_DIR "/docs/validation.md");
    std::string told;
    for (std::string line; std::getline(page, line);)
      if (line.rfind(start_, 0) == 0) told += line + "\n";
    EXPECT_EQ(told, rows_) << "the rows of docs/validation.md are not what was found now";
  }
  BookRows(const BookRows&) = delete;
  BookRows& operator=(const BookRows&) = delete;

  // `published` is empty where there is none; then what the formula says, and what was found.
  void Add(const std::string& what, const std::string& published, double theory, const std::string& found) {
    rows_ += start_ + what + " | " + published + " | " + Text("%.4g", theory) + " | " + found + " |\n";
  }

 private:
  std::string start_, rows_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_TEST_BOOK_ROWS_H_
