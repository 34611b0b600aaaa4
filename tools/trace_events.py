#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a trace, from their one declaration in models/base/trace_events.yaml.

    trace_events.py header | page | dtype      print one product
    trace_events.py write                      write the C++ header and the documentation page
    trace_events.py check                      exit 1 when either is not what the declaration gives

From Python: ``load()`` gives the tables, ``dtype("packets")`` the numpy type of a row.
"""
from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = ROOT / "models/base/trace_events.yaml"
HEADER = ROOT / "models/base/trace_events.h"
PAGE = ROOT / "docs/trace-schema.md"

# YAML name -> (C++ type, enumerator of trace::ColumnType, numpy format)
TYPES = {
    "u8": ("std::uint8_t", "kU8", "<u1"),
    "u16": ("std::uint16_t", "kU16", "<u2"),
    "u32": ("std::uint32_t", "kU32", "<u4"),
    "u64": ("std::uint64_t", "kU64", "<u8"),
    "i64": ("std::int64_t", "kI64", "<i8"),
    "char": ("char", "kText", "S"),
}
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")
ROW = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
TYPE = re.compile(r"(%s)(?:\[([1-9][0-9]*)\])?\Z" % "|".join(TYPES))


class Refusal(Exception):
    """The declaration is wrong: one sentence that names file, key, value and what is allowed."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # a key of TYPES
    count: int  # elements; for text, bytes
    unit: str
    doc: str
    names: tuple[str, ...]  # of the values of an enumerated column

    @property
    def cpp_type(self) -> str:
        scalar = TYPES[self.type][0]
        return scalar if self.count == 1 and self.type != "char" else f"std::array<{scalar}, {self.count}>"

    @property
    def numpy_format(self) -> Any:
        scalar = TYPES[self.type][2]
        if self.type == "char":
            return f"S{self.count}"
        return scalar if self.count == 1 else (scalar, (self.count,))


@dataclass(frozen=True)
class Table:
    name: str
    row: str  # name of the C++ struct
    doc: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Schema:
    version: int
    tables: dict[str, Table]


def _take(where: str, body: Any, required: set[str], optional: set[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refusal(f"{where} is {body!r}, allowed: a mapping with {', '.join(sorted(required))}")
    for key in sorted(required - set(body)):
        raise Refusal(f"{where}: {key} is missing, allowed: {', '.join(sorted(required | optional))}")
    for key in sorted(set(body) - required - optional):
        raise Refusal(f"{where}: {key} is unknown, allowed: {', '.join(sorted(required | optional))}")
    return body


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value or "\n" in value or '"' in value or "\\" in value:
        raise Refusal(f"{where} is {value!r}, allowed: one line of text without quotes")
    return value


def _column(where: str, name: Any, body: Any) -> Column:
    if not isinstance(name, str) or not IDENTIFIER.match(name):
        raise Refusal(f"{where}: column is {name!r}, allowed: snake_case")
    where = f"{where}.{name}"
    body = _take(where, body, {"type", "unit", "doc"}, {"names"})
    match = TYPE.match(str(body["type"]))
    if not match or (match[1] == "char" and not match[2]):
        raise Refusal(f"{where}: type is {body['type']!r}, allowed: {', '.join(TYPES)}, each with [n] (char only so)")
    doc = _text(f"{where}: doc", body["doc"])
    if not doc.endswith("."):
        raise Refusal(f"{where}: doc is {doc!r}, allowed: a sentence that ends in a full stop")
    names = body.get("names", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and IDENTIFIER.match(n) for n in names):
        raise Refusal(f"{where}: names is {names!r}, allowed: a list of snake_case names")
    if bool(names) != (body["unit"] == "enum"):
        raise Refusal(f"{where}: unit is {body['unit']!r}, allowed: enum together with names, and only so")
    return Column(name, match[1], int(match[2] or 1), _text(f"{where}: unit", body["unit"]), doc, tuple(names))


def load(path: Path = DECLARATION) -> Schema:
    """Reads and checks the declaration; raises Refusal when it is wrong."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refusal(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    document = _take(str(path), document, {"version", "tables"})
    version = document["version"]
    if type(version) is not int or version < 1:
        raise Refusal(f"{path}: version is {version!r}, allowed: 1 or more")
    if not isinstance(document["tables"], dict):
        raise Refusal(f"{path}: tables is {document['tables']!r}, allowed: a mapping of tables")
    tables = {}
    for name, body in document["tables"].items():
        if not isinstance(name, str) or not IDENTIFIER.match(name):
            raise Refusal(f"{path}: table is {name!r}, allowed: snake_case")
        where = f"{path}: {name}"
        body = _take(where, body, {"row", "doc", "columns"})
        if not ROW.match(str(body["row"])):
            raise Refusal(f"{where}: row is {body['row']!r}, allowed: CamelCase")
        if not isinstance(body["columns"], dict) or not body["columns"]:
            raise Refusal(f"{where}: columns is {body['columns']!r}, allowed: a mapping of columns")
        columns = tuple(_column(where, n, b) for n, b in body["columns"].items())
        tables[name] = Table(name, body["row"], _text(f"{where}: doc", body["doc"]), columns)
    return Schema(version, tables)


def dtype(table: str, schema: Schema | None = None, packed: bool = False):
    """The numpy type of a row: laid out as the C++ struct, or without padding."""
    import numpy

    columns = (schema or load()).tables[table].columns
    fields = {"names": [c.name for c in columns], "formats": [c.numpy_format for c in columns]}
    return numpy.dtype(fields, align=not packed)


def header(schema: Schema) -> str:
    """models/base/trace_events.h."""
    out = [
        "// SPDX-License-Identifier: BSD-3-Clause",
        "// Made by tools/trace_events.py from trace_events.yaml: change that file, then run",
        "// `tools/trace_events.py write`. A test fails when the two differ.",
        "// clang-format off",
        "#ifndef FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_",
        "#define FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_",
        "",
        "#include <array>",
        "#include <cstddef>",
        "#include <cstdint>",
        "",
        '#include "models/base/trace_column.h"',
        "",
        "namespace foreflow::trace {",
        "",
        "// Written into every trace; raised when a column changes its meaning or goes.",
        f"constexpr std::uint32_t kVersion = {schema.version};",
    ]
    for table in schema.tables.values():
        out += ["", f"// {table.doc}", f"struct {table.row} {{"]
        for c in table.columns:
            out.append(f"  {c.cpp_type} {c.name}{{}};  // {c.unit}: {c.doc}")
        out += ["};", f"inline constexpr Column k{table.row}Columns[] = {{"]
        for c in table.columns:
            names = f'"{",".join(c.names)}"' if c.names else "nullptr"
            out.append(
                f'    {{"{c.name}", ColumnType::{TYPES[c.type][1]}, offsetof({table.row}, {c.name}), '
                f'{c.count}, "{c.unit}", "{c.doc}", {names}}},'
            )
        out += [
            "};",
            "template <>",
            f"inline constexpr Table kTable<{table.row}> = {{",
            f'    "{table.name}", "{table.doc}", sizeof({table.row}), k{table.row}Columns, {len(table.columns)}}};',
        ]
    out += ["", "// Every table, in the order of the declaration.", "inline constexpr const Table* kTables[] = {"]
    out += [f"    &kTable<{table.row}>," for table in schema.tables.values()]
    out += ["};", "", "}  // namespace foreflow::trace", "", "#endif  // FOREFLOW_MODELS_BASE_TRACE_EVENTS_H_", ""]
    return "\n".join(out)


def page(schema: Schema) -> str:
    """docs/trace-schema.md."""
    out = [
        "<!-- Made by tools/trace_events.py from models/base/trace_events.yaml: change that file. -->",
        "# The tables of trace.h5",
        "",
        f"Version {schema.version}. Every table is a one-dimensional HDF5 dataset of a compound type, appended while",
        "the run goes on. Times count from the start of the run. Read one with",
        '`h5py.File("trace.h5")["packets"][:]`.',
    ]
    for table in schema.tables.values():
        out += ["", f"## {table.name}", "", table.doc, "", "| column | type | unit | meaning |", "|---|---|---|---|"]
        for c in table.columns:
            kind = c.type if c.count == 1 and c.type != "char" else f"{c.type}[{c.count}]"
            names = ""
            if c.names:
                names = " Values: " + ", ".join(f"{i} {n}" for i, n in enumerate(c.names)) + "."
            out.append(f"| `{c.name}` | {kind} | {c.unit} | {c.doc}{names} |")
    return "\n".join(out) + "\n"


def main(arguments: list[str]) -> int:
    commands = ("header", "page", "dtype", "write", "check")
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"trace_events.py: command is {' '.join(arguments)!r}, allowed: {', '.join(commands)}", file=sys.stderr)
        return 2
    try:
        schema = load()
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 2
    products = {HEADER: header(schema), PAGE: page(schema)}
    command = arguments[0]
    if command == "header":
        print(products[HEADER], end="")
    elif command == "page":
        print(products[PAGE], end="")
    elif command == "dtype":
        for name in schema.tables:
            print(name, dtype(name, schema))
    elif command == "write":
        for path, text in products.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    else:
        stale = [p for p, text in products.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path} is not what {DECLARATION.name} gives: run tools/trace_events.py write", file=sys.stderr)
        return 1 if stale else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
