// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_STRICT_JSON_H_
#define FOREFLOW_BINDINGS_CONFIG_STRICT_JSON_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace foreflow::config {

using Json = nlohmann::json;

// Parses one JSON document, refusing repeated keys. Throws Refusal naming `where` (a file).
Json ParseJson(const std::string& where, const std::string& text);

// One value of a document, knowing its place, so that every refusal names file, key, value and allowed range.
class Value {
 public:
  // `json` must outlive it; `key` is the path to it, empty of the whole document.
  Value(const Json& json, std::string where, std::string key)
      : json_(&json), where_(std::move(where)), key_(std::move(key)) {}

  const Json& json() const { return *json_; }
  const std::string& where() const { return where_; }
  const std::string& key() const { return key_; }

  // Each throws Refusal where the value is of another type or out of range, bounds included.
  bool Boolean() const;
  std::int64_t Integer(std::int64_t low, std::int64_t high) const;
  std::uint64_t Unsigned(std::uint64_t low, std::uint64_t high) const;
  double Number(double low, double high) const;
  const std::string& Text() const;
  // The index of the value among `choices`.
  std::size_t Choice(const std::vector<std::string>& choices) const;
  // At most so many elements.
  std::vector<Value> Array(std::size_t most) const;

  // Throws Refusal: what the value is, and that `allowed` is.
  [[noreturn]] void Refuse(const std::string& allowed) const;

 private:
  friend class Object;
  const Json* json_;
  std::string where_;
  std::string key_;
};

// A JSON object whose keys are all required and all known: Get each, then End refuses what is left.
class Object {
 public:
  explicit Object(const Value& value);  // throws Refusal where it is no object

  // Throws Refusal where the key is missing.
  Value Get(const std::string& key);
  // Of a key that may be left out: known from now on.
  bool Has(const std::string& key);
  // Throws Refusal where there is a key that nobody asked for.
  void End() const;

 private:
  Value value_;
  std::set<std::string> taken_;
};

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_STRICT_JSON_H_
