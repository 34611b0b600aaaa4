// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_CLASSBENCH_H_
#define FOREFLOW_BINDINGS_CONFIG_CLASSBENCH_H_

#include <string>
#include <vector>

#include "models/rules/rule.h"

namespace foreflow::config {

// A filter set in the form of ClassBench (Taylor, Turner 2007), IPv4: a filter a line,
//
//   @10.0.0.0/8  192.168.1.0/24  0 : 65535  80 : 80  0x06/0xFF  0x0000/0x0000
//
// source and destination prefix, the ranges of their ports, protocol and its mask (0x00 or 0xFF), and, where
// it is there, flags and their mask, which must be 0x0000: rules compare no flags. Spaces and tabs divide;
// empty lines are left out. The first filter that matches wins: line n of the filters is rule id n - 1 of
// priority -id. Filter sets have no actions; all forward.
//
// Throws Refusal naming `where`, line, field and what is allowed there.
std::vector<rules::Rule> ParseClassBench(const std::string& where, const std::string& text);

// Whether a text looks like a filter set: its first character besides white space is an @.
bool IsClassBench(const std::string& text);

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_CLASSBENCH_H_
