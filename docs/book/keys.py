# SPDX-License-Identifier: BSD-3-Clause
"""Tables of every key of scenarios and rule sets, from scenarios/schema/scenario.schema.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreflow import config
from foreflow.places import SCHEMA

TITLES = {"ruleset": "A rule set", "rule": "A rule", "action": "An action", "tag_rule": "A tag rule", "change": "A change of headers", "meter": "A meter"}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _default(part: dict[str, Any], key: str, required: list[str]) -> str:
    if key in required:
        return "required"
    return f"`{json.dumps(part['default'])}`" if "default" in part else ""


def _rows(properties: dict[str, Any], required: list[str], prefix: str) -> Iterator[str]:
    for key, part in properties.items():
        named = config.schema()["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else {}
        if inner := part.get("properties"):
            yield from _rows(inner, part.get("required", []), f"{prefix}{key}.")
            continue
        meaning = part.get("description", named.get("description", ""))
        allowed = config.allowed_by(part)
        yield f"| `{prefix}{key}` | {_cell(allowed if allowed != meaning else '')} | {_default(part, key, required)} | {_cell(meaning)} |"


def _table(properties: dict[str, Any], required: list[str], prefix: str = "") -> str:
    return "\n".join(["| key | allowed | default | meaning |", "|---|---|---|---|", *_rows(properties, required, prefix)])


def tables(schema: dict[str, Any]) -> str:
    """Markdown: the keys of a scenario by group, then what a rule set holds."""
    properties, required = schema["properties"], schema["required"]
    groups = {name: part for name, part in properties.items() if "properties" in part}
    alone = {name: part for name, part in properties.items() if name not in groups}
    parts = ["## The run", _table(alone, required)]
    for name, part in groups.items():
        parts += [f"## {name}", _table(part["properties"], part.get("required", []), f"{name}.")]
    for name, title in TITLES.items():
        part = schema["$defs"][name]
        parts += [f"## {title}", _table(part["properties"], part.get("required", []))]
    return "\n\n".join(parts) + "\n"


def text(root: Path, _: str | None) -> tuple[str, list[Path]]:
    return tables(config.schema()), [SCHEMA]
