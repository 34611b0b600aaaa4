#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies point one way, and the cores stay pure.

    tools/check_floors.py [ROOT]

models <- hw-models <- {ns3-module, bindings} <- {scenarios, analysis, docs}: no include and no link edge points up. Inside
a floor the rooms' DEPENDS, in the order of the CMakeLists.txt, say which room may include which. models/ (without
models/train) names no simulator, NIC or tensor library, reads no clock, file, environment or random device, prints
nothing, starts no thread and iterates no hashed container. Prints file:line: reason; exits with 1 where it found any.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from cxx_source import ROOT, blanked, files, includes, is_test, line_of, report

FLOORS = {"models": 0, "hw-models": 1, "bindings": 2, "ns3-module": 2, "scenarios": 3, "analysis": 3, "docs": 3}
# Of the two on the third floor, the module may use the doors' file formats, never the other way.
SIDEWAYS = {("ns3-module", "bindings"), ("scenarios", "analysis")}

LIBRARIES = re.compile(r"^(ns3/|rte_|hdf5|H5|torch/|ATen/|c10/)")
SYSTEM = {
    "reads a clock": re.compile(r"^(chrono|ctime|time\.h|sys/time\.h|x86intrin\.h)$"),
    "touches files or prints": re.compile(
        r"^(cstdio|stdio\.h|fstream|iostream|ostream|istream|filesystem|unistd\.h|fcntl\.h)$"
    ),
    "draws unseeded randomness": re.compile(r"^(random|sys/random\.h)$"),
    "starts threads": re.compile(r"^(thread|mutex|shared_mutex|condition_variable|future|pthread\.h)$"),
    "has a hashed container": re.compile(r"^unordered_(map|set)$"),
}
# In test files too: what would make them depend on other floors, or differ from run to run.
TOKENS_EVERYWHERE = {
    "another floor's library": re.compile(r"\b(ns3::|rte_[a-z]\w*|H5[A-Z]\w+|torch::)"),
    "a clock": re.compile(
        r"\bstd::chrono\b|\bclock_gettime\b|\bgettimeofday\b|\b(?:__|_)?rdtscp?\b|"
        r"(?<![\w.>])(?:std::|::)?time\s*\(\s*(?:nullptr|NULL|0|&\s*\w+)\s*\)|(?<![\w.>])(?:std::|::)?clock\s*\(\s*\)"
    ),
    "unseeded randomness": re.compile(
        r"\brandom_device\b|(?<![\w.>:])(?:std::|::)?(?:rand|srand|srandom|[dlm]rand48)\s*\(|\bgetrandom\b"
    ),
}
TOKENS_IN_CORES = {
    "a random engine besides base's": re.compile(
        r"\bstd::(mt19937|minstd_rand|default_random_engine)|(?<![\w.>:])(?:std::|::)?random\s*\(\s*\)"
    ),
    "a file": re.compile(r"\b(f?re)?f?open\s*\(\s*(?=\S)|\bstd::w?[io]?fstream\b|\bstd::filesystem\b"),
    "printing": re.compile(r"\b[vsnf]*w?printf\s*\(|\bstd::(cout|cerr|clog)\b|\bf?puts\s*\(|\bputchar\s*\("),
    "the environment": re.compile(r"\b(secure_)?getenv\b"),
    "threads": re.compile(r"\bstd::(j?thread|(?:\w+_)*mutex|async|condition_variable\w*|lock_guard|scoped_lock)\b"),
    "a hashed container, whose order differs": re.compile(r"\bstd::unordered_\w+"),
}
SOURCES = ("*.cc", "*.h", "*.cpp", "*.hpp")
CMAKE = ("CMakeLists.txt", "*/CMakeLists.txt", "*.cmake")
COMMAND = re.compile(r"\b(foreflow_room|target_link_libraries)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Room:
    """A room as its CMakeLists.txt declares it."""

    name: str
    floor: str
    folder: str
    where: str  # file:line
    depends: tuple[str, ...]


def cmake_commands(root: Path) -> list[tuple[str, int, str, list[str]]]:
    """(file, line, command, arguments) of the calls that make rooms and link edges, in the file's order."""
    found = []
    for path in files(root, CMAKE):
        text = re.sub(r"#[^\n]*", lambda comment: " " * len(comment.group(0)), (root / path).read_text())
        for match in COMMAND.finditer(text):
            found.append((path, line_of(text, match.start()), match.group(1), match.group(2).split()))
    return found


def rooms_of(root: Path, findings: list[str]) -> dict[str, Room]:
    """The declared rooms by name; finds edges to rooms that come later."""
    rooms: dict[str, Room] = {}
    order = sorted(cmake_commands(root), key=lambda call: FLOORS.get(call[0].split("/")[0], 99))
    for path, line, command, arguments in order:
        if command != "foreflow_room" or not arguments or "$" in arguments[0] or path.startswith("cmake/"):
            continue
        keywords = {"DIR", "DEPENDS", "LINKS", "APART"}
        depends: list[str] = []
        folder = f"{Path(path).parent}/{arguments[0]}"
        keyword = ""
        for argument in arguments[1:]:
            if argument in keywords:
                keyword = argument
            elif keyword == "DEPENDS":
                depends.append(argument)
            elif keyword == "DIR":
                folder = argument.replace("${CMAKE_CURRENT_SOURCE_DIR}", str(Path(path).parent))
        name, floor, where = arguments[0], path.split("/")[0], f"{path}:{line}"
        for other in depends:
            if other not in rooms:
                findings.append(f"{where}: room {name} depends on {other}, which is not declared before it")
        rooms[name] = Room(name, floor, folder, where, tuple(depends))
    return rooms


def is_upward(floor: str, other: str) -> bool:
    """Whether an edge from `floor` to `other` points up, or sideways where it must not."""
    if floor == other or floor not in FLOORS or other not in FLOORS:
        return False
    if FLOORS[other] == FLOORS[floor]:
        return (floor, other) not in SIDEWAYS
    return FLOORS[other] > FLOORS[floor]


def closure(name: str, rooms: dict[str, Room]) -> set[str]:
    """The room, and all below it."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        room = waiting.pop()
        if room not in seen and room in rooms:
            seen.add(room)
            waiting.extend(rooms[room].depends)
    return seen


def room_at(path: str, rooms: dict[str, Room]) -> Room | None:
    """The room that holds `path`: the innermost."""
    around = [room for room in rooms.values() if path.startswith(room.folder + "/")]
    return max(around, key=lambda room: len(room.folder), default=None)


def check_links(root: Path, rooms: dict[str, Room], findings: list[str]) -> None:
    """Link edges that are written as target_link_libraries."""
    for path, line, command, arguments in cmake_commands(root):
        floor = path.split("/")[0]
        for argument in arguments if command == "target_link_libraries" else []:
            name = argument.removeprefix("foreflow::")
            if name != argument and name in rooms and is_upward(floor, rooms[name].floor):
                findings.append(f"{path}:{line}: {floor} links {argument} of {rooms[name].floor}, which is above it")
    for room in rooms.values():
        for other in room.depends:
            if other in rooms and is_upward(room.floor, rooms[other].floor):
                findings.append(f"{room.where}: {room.floor} links {other} of {rooms[other].floor}, which is above it")


def check_includes(path: str, text: str, rooms: dict[str, Room], findings: list[str]) -> None:
    """Include edges of one file."""
    floor = path.split("/")[0]
    own = room_at(path, rooms)
    for line, target in includes(text):
        other = room_at(target, rooms)
        if is_upward(floor, target.split("/")[0]):
            findings.append(f"{path}:{line}: {floor} includes {target}, which is above it")
        elif own is not None and other is not None and other.name not in closure(own.name, rooms):
            findings.append(
                f"{path}:{line}: room {own.name} includes {target}, but does not depend on {other.name} ({own.where})"
            )


def check_purity(path: str, text: str, findings: list[str]) -> None:
    """What a file of models/ must not name."""
    for line, target in includes(text):
        if LIBRARIES.match(target):
            findings.append(f"{path}:{line}: models/ includes {target}: that library belongs to another floor")
        for what, pattern in {} if is_test(path) else SYSTEM.items():
            if pattern.match(target):
                findings.append(f"{path}:{line}: models/ includes <{target}>, which {what}")
    bare = re.sub(r"(?m)^[ \t]*#[ \t]*include[^\n]*", "", blanked(text))
    rules = TOKENS_EVERYWHERE if is_test(path) else TOKENS_EVERYWHERE | TOKENS_IN_CORES
    for what, pattern in rules.items():
        for match in pattern.finditer(bare):
            named = match.group(0).strip()
            findings.append(f"{path}:{line_of(bare, match.start())}: models/ names {named}: {what}")


def check(root: Path) -> list[str]:
    """All findings below `root`."""
    findings: list[str] = []
    rooms = rooms_of(root, findings)
    check_links(root, rooms, findings)
    for path in files(root, SOURCES):
        if path.split("/")[0] not in FLOORS:
            continue
        text = (root / path).read_text()
        check_includes(path, text, rooms, findings)
        if path.startswith("models/") and not path.startswith("models/train/"):
            check_purity(path, text, findings)
    return findings


if __name__ == "__main__":
    sys.exit(report(check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)))
