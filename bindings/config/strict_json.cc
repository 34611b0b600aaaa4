// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/config/strict_json.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "models/base/refusal.h"

namespace foreflow::config {
namespace {

// A value as a message shows it: short, and flat, since a hostile one may be deep.
std::string Show(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list of " + std::to_string(json.size());
  std::string text = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  constexpr std::size_t kMost = 60;
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

std::string ShowNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

}  // namespace

Json ParseJson(const std::string& where, const std::string& text) {
  constexpr int kMostDeep = 32;
  std::vector<std::set<std::string>> keys;
  const Json::parser_callback_t callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMostDeep)
      throw Refusal(where + ": nested deeper than " + std::to_string(kMostDeep) + " levels");
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Refusal(where + ": key " + Show(parsed) + " appears twice in one object");
    }
    return true;
  };
  try {
    return Json::parse(text, callback);
  } catch (const Json::exception& error) {
    throw Refusal(where + ": not JSON: " + error.what());
  }
}

void Value::Refuse(const std::string& allowed) const { throw Refusal(where_, key_, Show(*json_), allowed); }

bool Value::Boolean() const {
  if (!json_->is_boolean()) Refuse("true or false");
  return json_->get<bool>();
}

std::int64_t Value::Integer(std::int64_t low, std::int64_t high) const {
  const std::string allowed = "integers " + std::to_string(low) + " .. " + std::to_string(high);
  if (!json_->is_number_integer()) Refuse(allowed);
  if (json_->is_number_unsigned() && json_->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    Refuse(allowed);
  }
  const auto value = json_->get<std::int64_t>();
  if (value < low || value > high) Refuse(allowed);
  return value;
}

std::uint64_t Value::Unsigned(std::uint64_t low, std::uint64_t high) const {
  const std::string allowed = "integers " + std::to_string(low) + " .. " + std::to_string(high);
  // Non-negative literals are parsed as unsigned, values set by a program may be signed.
  if (!json_->is_number_integer()) Refuse(allowed);
  if (!json_->is_number_unsigned() && json_->get<std::int64_t>() < 0) Refuse(allowed);
  const auto value = json_->get<std::uint64_t>();
  if (value < low || value > high) Refuse(allowed);
  return value;
}

double Value::Number(double low, double high) const {
  const std::string allowed = "numbers " + ShowNumber(low) + " .. " + ShowNumber(high);
  if (!json_->is_number()) Refuse(allowed);
  const auto value = json_->get<double>();
  if (!(value >= low && value <= high)) Refuse(allowed);
  return value;
}

const std::string& Value::Text() const {
  if (!json_->is_string()) Refuse("text");
  return json_->get_ref<const std::string&>();
}

std::size_t Value::Choice(const std::vector<std::string>& choices) const {
  if (json_->is_string()) {
    const auto& text = json_->get_ref<const std::string&>();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (choices[i] == text) return i;
    }
  }
  std::string allowed;
  for (const std::string& choice : choices) allowed += (allowed.empty() ? "" : ", ") + choice;
  Refuse(allowed);
}

std::vector<Value> Value::Array(std::size_t most) const {
  const std::string allowed = "a list of up to " + std::to_string(most);
  if (!json_->is_array() || json_->size() > most) Refuse(allowed);
  std::vector<Value> values;
  for (std::size_t i = 0; i < json_->size(); ++i) {
    values.emplace_back((*json_)[i], where_, key_ + "[" + std::to_string(i) + "]");
  }
  return values;
}

Object::Object(const Value& value) : value_(value) {
  if (!value.json().is_object()) value.Refuse("an object");
}

Value Object::Get(const std::string& key) {
  taken_.insert(key);
  const std::string path = value_.key_.empty() ? key : value_.key_ + "." + key;
  const auto found = value_.json().find(key);
  if (found == value_.json().end()) throw Refusal(value_.where_ + ": " + path + " is missing");
  return Value(*found, value_.where_, path);
}

bool Object::Has(const std::string& key) {
  taken_.insert(key);
  return value_.json().contains(key);
}

void Object::End() const {
  for (const auto& item : value_.json().items()) {
    if (taken_.count(item.key()) != 0) continue;
    std::string known;
    for (const std::string& key : taken_) known += (known.empty() ? "" : ", ") + key;
    throw Refusal(value_.where_ + ": unknown key " + Show(Json(item.key())) +
                  (value_.key_.empty() ? std::string() : " in " + value_.key_) + ", allowed: " + known);
  }
}

}  // namespace foreflow::config
