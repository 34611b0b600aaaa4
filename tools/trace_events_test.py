# SPDX-License-Identifier: BSD-3-Clause
"""The products of trace_events.yaml are fresh, agree with each other, and bad declarations are refused."""
from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest
import trace_events


def test_header_and_page_are_fresh() -> None:
    assert trace_events.main(["check"]) == 0, "run tools/trace_events.py write"


def test_dtypes_hold_every_column_in_order() -> None:
    schema = trace_events.load()
    for name, table in schema.tables.items():
        dtype = trace_events.dtype(name, schema)
        assert dtype.names == tuple(c.name for c in table.columns)
        packed = trace_events.dtype(name, schema, packed=True)
        assert packed.itemsize == sum(packed[n].itemsize for n in packed.names) <= dtype.itemsize
    assert trace_events.dtype("flows", schema)["source_address"] == numpy.dtype(("u1", (16,)))
    assert trace_events.dtype("stations", schema)["name"] == numpy.dtype("S32")


def test_header_names_every_column_once() -> None:
    text = trace_events.HEADER.read_text(encoding="utf-8")
    for table in trace_events.load().tables.values():
        for column in table.columns:
            assert len(re.findall(rf"offsetof\({table.row}, {column.name}\)", text)) == 1


GOOD = "version: 1\ntables:\n  t:\n    row: TRow\n    doc: Rows.\n    columns:\n      a: {%s}\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (GOOD % "type: f32, unit: s, doc: A.", "type is 'f32'"),
        (GOOD % "type: char, unit: text, doc: A.", "type is 'char'"),
        (GOOD % "type: u8, unit: s", "doc is missing"),
        (GOOD % "type: u8, unit: s, doc: A", "full stop"),
        (GOOD % "type: u8, unit: s, doc: A., colour: red", "colour is unknown"),
        (GOOD % "type: u8, unit: enum, doc: A.", "together with names"),
        (GOOD % "type: u8, unit: s, names: [x], doc: A.", "together with names"),
        ("version: 0\ntables: {}\n", "version is 0"),
        ("version: true\ntables: {}\n", "version is True"),
        ("version: 1\ntables: []\n", "tables is []"),
        ("version: 1\ntables: {T: {}}\n", "table is 'T'"),
        ("version: [1\n", "cannot be read as YAML"),
        ("[]", "allowed: a mapping"),
    ],
)
def test_refuses_in_one_sentence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "events.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(trace_events.Refusal) as refusal:
        trace_events.load(path)
    assert part in str(refusal.value)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_good_declaration_loads(tmp_path: Path) -> None:
    path = tmp_path / "events.yaml"
    path.write_text(GOOD % "type: 'u16[3]', unit: s, doc: A.", encoding="utf-8")
    schema = trace_events.load(path)
    assert "std::array<std::uint16_t, 3> a{};" in trace_events.header(schema)
    assert "| `a` | u16[3] | s | A. |" in trace_events.page(schema)
    assert trace_events.dtype("t", schema).itemsize == 6
