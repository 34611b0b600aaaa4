# SPDX-License-Identifier: BSD-3-Clause
"""The book builds without a warning, holds what the sources say, and breaks where a link does."""

from __future__ import annotations

import json
import os
import re
from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("foreflow_core")

from docs import book  # noqa: E402
from docs.book import headers, keys  # noqa: E402
from foreflow import book as building  # noqa: E402
from foreflow.places import ROOT, SCHEMA  # noqa: E402


def words(page: Path) -> str:
    """A page's text."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8"))))


@pytest.fixture(name="html", scope="module")
def _html() -> Path:
    first = building.build_book()
    assert first.is_file()
    return first.parent


def test_every_page_is_in_it_and_says_what_its_source_says(html: Path) -> None:
    assert "does predicting traffic pay" in words(html / "README.html")
    assert "Time is an argument." in words(html / "docs" / "design.html")
    # A comment of a header, behind a member and before a class; a docstring of each package.
    flow = words(html / "docs" / "reference" / "models" / "flow.html")
    assert "class FlowTable" in flow and "a VM within its share" in flow
    assert "tenants, 1 .. 65536 and <= capacity" in flow and "oldest_" not in flow
    python = words(html / "docs" / "reference" / "python.html")
    assert "run(scenario" in python and "Finds or begins each flow" in python
    # Code comes from the files that the tests compile and run.
    assert "entry_[context.symbol[0]]" in words(html / "docs" / "adding" / "predictor.html")


def test_the_reference_has_every_key_and_every_room(html: Path) -> None:
    page = words(html / "docs" / "reference" / "scenario-keys.html")
    for name, part in json.loads(SCHEMA.read_text())["properties"].items():
        for key in [f"{name}.{inner}" for inner in part["properties"]] if "properties" in part else [name]:
            assert f" {key} " in page, key
    assert "a whole number from 1 to 1000 5 replications an arm" in page
    pages = {path.stem for path in (html / "docs" / "reference" / "models").glob("*.html")}
    assert not {Path(room).name for room in headers.rooms(ROOT)} - pages


def test_a_link_to_nothing_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "index.md"
    page.parent.mkdir()
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "README.md").write_text("# Room\n\n## A part\n")
    links = {"to a folder": "../room", "to a part": "../room#a-part", "to a page": "../room/README.md"}

    def built(text: str) -> tuple[int, str]:
        page.write_text(f"# Index\n\n```{{toctree}}\n/room/README\n```\n\n{text}\n")
        return building.sphinx(tmp_path, tmp_path / "out", {"PYTHONPATH": f"{ROOT / 'analysis'}:{ROOT}", "PATH": os.environ["PATH"]})

    code, said = built("\n".join(f"[{name}]({link})" for name, link in links.items()))
    assert code == 0, said
    assert "room/README.html#a-part" in (tmp_path / "out" / "html" / "docs" / "index.html").read_text()
    for link in ("../room/none.md", "../none", "../room#no-such-part"):
        code, said = built(f"[broken]({link})")
        assert code != 0, (link, said)


def test_links_to_folders_are_led_to_their_pages() -> None:
    folder = ROOT / "docs"
    assert book.with_pages("[a](../models/flow) [b](../models/predict#mixing)", folder) == "[a](../models/flow/README.md) [b](../models/predict/README.md#mixing)"
    for same in ("[a](../hw-models/profiles/x86-core.json)", "[a](https://foreflow.example/docs)", "[a](#here)", "a (../models/flow)"):
        assert book.with_pages(same, folder) == same


def test_a_header_is_shown_without_what_is_nobodys_to_call() -> None:
    source = """// SPDX-License-Identifier: BSD-3-Clause
#ifndef A_
#define A_
#include <x>

namespace n {

// What the header is for.

// A class.
class Thing final : public Base<int> {
 public:
  static constexpr int kMost = 3;  // behind
  explicit Thing(int a, Span b = {})
      : Base{a}, values_(b.size()) {
    Do(a);
  }
  // Says so.
  int Do(int a) const {
    // not this
    if (a > 0) { return values_[a]; }
    return a;
  }
  Thing& operator+=(int a) { return *this; }
  bool operator==(const Thing& other) const;
  struct Inner { int x = 1; std::string text = "{ // }"; };
  static_assert(sizeof(int) == 4);

 private:
  // not this either
  int hidden_{0};
};
constexpr std::array<int, 3> kTable = {
    1, 2, 3};
enum class Kind : char { kA, kB };
template <typename T>
T Twice(T value) { return 2 * value; }

}  // namespace n
#endif  // A_
"""
    assert headers.interface(source) == """// What the header is for.

// A class.
class Thing final : public Base<int> {
 public:
  static constexpr int kMost = 3;  // behind
  explicit Thing(int a, Span b = {});
  // Says so.
  int Do(int a) const;
  Thing& operator+=(int a);
  bool operator==(const Thing& other) const;
  struct Inner { int x = 1; std::string text = "{ // }"; };
};
constexpr std::array<int, 3> kTable = {...};
enum class Kind : char { kA, kB };
template <typename T>
T Twice(T value);
"""


def test_no_header_loses_what_it_declares() -> None:
    """Every class and enumeration of a public header is in what is shown of it."""
    for room in headers.rooms(ROOT):
        for path in headers.of_room(ROOT, room):
            source = path.read_text(encoding="utf-8")
            shown = headers.interface(source)
            for name in re.findall(r"^(?:class|struct|enum class) (?:alignas\(\d+\) )?(\w+)", source, re.MULTILINE):
                assert re.search(rf"\b{name}\b", shown), f"{path}: {name}"
            assert shown.count("{") == shown.count("}") and " private:" not in shown and "namespace foreflow" not in shown, path


def test_a_table_of_keys_says_what_the_schema_says() -> None:
    inner = {"rate": {"type": "number", "minimum": 1, "maximum": 9, "default": 2, "description": "a | b"}, "kind": {"enum": ["x", "y"]}}
    definition = {"properties": {"id": {"type": "integer", "minimum": 0, "maximum": 1}}, "required": ["id"]}
    schema = {"required": [], "properties": {"link": {"properties": inner}}, "$defs": dict.fromkeys(keys.TITLES, definition)}
    rows = keys.tables(schema).splitlines()
    assert "| `link.rate` | a number from 1 to 9 | `2` | a \\| b |" in rows
    assert "| `link.kind` | one of x, y |  |  |" in rows
    assert rows.count("| `id` | a whole number from 0 to 1 | required |  |") == len(keys.TITLES)


def test_the_readme_of_a_floor_names_its_rooms() -> None:
    for floor in ("models", "hw-models", "bindings"):
        text = (ROOT / floor / "README.md").read_text()
        named = set(re.findall(r"^\| \[(\w+)\]\(\1\)", text, re.MULTILINE))
        assert named == {path.parent.name for path in (ROOT / floor).glob("*/README.md")}, floor
