# SPDX-License-Identifier: BSD-3-Clause
"""Each rule of the checks fires on a tree that breaks it, and only there."""

from __future__ import annotations

import re
from pathlib import Path

import check_floors
import check_headers
import check_spdx
import check_wire
import cxx_source
import pytest

ROOMS = """
foreflow_room(base)  # foreflow_room(ghost)
foreflow_room(wire DEPENDS base)
foreflow_room(crypto DEPENDS base LINKS PkgConfig::SODIUM APART aead)
foreflow_room(flow DEPENDS base wire)
"""
SPDX = "// SPDX-License-Identifier: BSD-3-Clause\n"


def tree(root: Path, contents: dict[str, str]) -> Path:
    """A small project with the rooms above and the given files."""
    for path, text in ({"models/CMakeLists.txt": ROOMS} | contents).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("models/flow/a.h", '#include "hw-models/cost/x.h"', "above it"),
        ("models/flow/a.h", '#include "bindings/pcap/x.h"', "above it"),
        ("hw-models/cost/a.h", '#include "scenarios/run.h"', "above it"),
        ("bindings/pcap/a.cc", '#include "ns3-module/model/nic.h"', "above it"),
        ("models/wire/a.h", '#include "models/flow/x.h"', "does not depend on flow"),
        ("models/flow/a.h", '#include "models/crypto/x.h"', "does not depend on crypto"),
        ("models/flow/a_test.cc", '#include "models/crypto/x.h"', "does not depend on crypto"),
        ("models/flow/a.h", "#include <ns3/packet.h>", "another floor"),
        ("models/flow/a.h", "#include <rte_mbuf.h>", "another floor"),
        ("models/flow/a.cc", "#include <hdf5.h>", "another floor"),
        ("models/flow/a_test.cc", "#include <torch/torch.h>", "another floor"),
        ("models/flow/a.cc", "int x = rte_rdtsc();", "another floor"),
        ("models/flow/a.cc", "#include <chrono>", "reads a clock"),
        ("models/flow/a.cc", "auto t = std::chrono::steady_clock::now();", "a clock"),
        ("models/flow/a.cc", "clock_gettime(CLOCK_REALTIME, &ts);", "a clock"),
        ("models/flow/a.cc", "auto t = __rdtsc();", "a clock"),
        ("models/flow/a.cc", "auto t = time(nullptr);", "a clock"),
        ("models/flow/a_test.cc", "Seed(std::time(NULL));", "a clock"),
        ("models/flow/a.cc", "gettimeofday(&tv, nullptr);", "a clock"),
        ("models/flow/a.cc", "#include <fstream>", "touches files"),
        ("models/flow/a.cc", 'auto* f = fopen("x", "r");', "a file"),
        ("models/flow/a.cc", "#include <iostream>", "prints"),
        ("models/flow/a.cc", 'std::printf("%d", 1);', "printing"),
        ("models/flow/a.cc", "std::cerr << 1;", "printing"),
        ("models/flow/a.cc", "int x = rand();", "unseeded"),
        ("models/flow/a_test.cc", "std::random_device seed;", "unseeded"),
        ("models/flow/a.cc", "std::mt19937 engine(1);", "random engine"),
        ("models/flow/a.cc", 'auto* home = std::getenv("HOME");', "environment"),
        ("models/flow/a.cc", "std::mutex lock;", "threads"),
        ("models/flow/a.cc", "#include <thread>", "starts threads"),
        ("models/flow/a.h", "std::unordered_map<int, int> table;", "hashed container"),
        ("models/CMakeLists.txt", "foreflow_room(flow DEPENDS wire)\nforeflow_room(wire)", "not declared before"),
        ("models/CMakeLists.txt", "foreflow_room(flow DEPENDS cost)", "not declared before"),
        ("hw-models/CMakeLists.txt", "foreflow_room(cost)\ntarget_link_libraries(x foreflow::door)", "above it"),
    ],
)
def test_floors_fire(tmp_path: Path, path: str, text: str, says: str) -> None:
    extra = {"bindings/CMakeLists.txt": "foreflow_room(door)"}
    found = check_floors.check(tree(tmp_path, extra | {path: text}))
    assert len(found) == 1, found
    assert re.match(rf"{re.escape(path)}:\d+: ", found[0])
    assert says in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/flow/a.h", '#include "models/wire/x.h"\n#include "models/base/x.h"'),
        ("models/flow/a.h", '// #include <chrono>\n/* std::mutex\n rand() */ const char* s = "printf( rand() std::cout";'),
        ("models/flow/a.h", "Nanos time() const; auto t = packet.time(); x->time(0); Nanos time(Nanos now);"),
        ("models/flow/a.h", "int operand(int x); int strand(); auto engine = random(streams); wheel.clock();"),
        ("models/flow/a.h", 'auto s = R"(std::cout // )"; int n = 1\'000\'000; // std::cout'),
        ("models/flow/a_test.cc", "#include <iostream>\n#include <unordered_map>\n#include <random>\nstd::mt19937 e(1);"),
        ("models/flow/a_bench.cc", '#include <cstdio>\nint main() { std::printf("x"); }'),
        ("models/train/a.cc", "#include <torch/torch.h>\n#include <chrono>"),
        ("bindings/pcap/a.cc", '#include <chrono>\n#include "models/flow/x.h"\nstd::ofstream out;'),
        ("scenarios/a.cc", '#include "ns3-module/model/nic.h"\n#include "bindings/config/x.h"'),
    ],
)
def test_floors_are_silent(tmp_path: Path, path: str, text: str) -> None:
    assert check_floors.check(tree(tmp_path, {path: text})) == []


def test_floors_know_a_room_inside_the_folder_of_another(tmp_path: Path) -> None:
    rooms = "foreflow_room(door)\nforeflow_room(peer DIR ${CMAKE_CURRENT_SOURCE_DIR}/door/peer DEPENDS flow)"
    text = '#include "models/flow/x.h"'
    found = check_floors.check(
        tree(tmp_path, {"bindings/CMakeLists.txt": rooms, "bindings/door/a.cc": text, "bindings/door/peer/a.cc": text})
    )
    assert found == ["bindings/door/a.cc:1: room door includes models/flow/x.h, but does not depend on flow (bindings/CMakeLists.txt:1)"]


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("models/flow/a.h", "struct Ipv4Header { int x; };", "defined in models/wire alone"),
        ("bindings/pcap/a.cc", "class TcpHeader final : public X {", "defined in models/wire alone"),
        ("hw-models/cost/a.h", "struct vlan_hdr{", "defined in models/wire alone"),
        ("ns3-module/model/a.cc", "const iphdr* ip = At(0);", "system's header struct"),
        ("models/flow/a.cc", "#include <netinet/tcp.h>", "models/wire"),
        ("models/flow/a.cc", "#include <boost/endian/conversion.hpp>", "models/wire"),
        ("models/flow/a.cc", "auto port = ntohs(raw);", "be.h"),
        ("models/flow/a.cc", "constexpr std::size_t kEthernetHeaderBytes = 14;", "layout constants"),
        ("models/flow/a.cc", "constexpr std::uint16_t kEthertypeIpv4 = 2048;", "layout constants"),
        ("models/flow/a.cc", "constexpr std::uint8_t kProtocolTcp = 6;", "layout constants"),
        ("models/flow/a.cc", "constexpr std::uint8_t kIcmp = 1, kRest = 6;", "protocol numbers"),
        ("models/flow/a.cc", "constexpr std::uint8_t kSyn = 0x02;", "TCP flags"),
        ("models/flow/a.cc", "if (ethertype == 0x86DD) return;", "ethertypes"),
    ],
)
def test_wire_fires(tmp_path: Path, path: str, text: str, says: str) -> None:
    found = check_wire.check(tree(tmp_path, {path: text}))
    assert len(found) == 1, found
    assert found[0].startswith(f"{path}:1: ")
    assert says in found[0]


def test_wire_fires_on_a_second_definition_inside(tmp_path: Path) -> None:
    text = "struct TcpHeader {\n  static constexpr std::size_t kBytes = 20;\n};"
    found = check_wire.check(tree(tmp_path, {"models/wire/tcp.h": text, "models/wire/udp.h": text}))
    assert found == ["models/wire/udp.h:1: TcpHeader is also defined at models/wire/tcp.h:1"]


def test_wire_is_silent(tmp_path: Path) -> None:
    contents = {
        "models/wire/tcp.h": "struct TcpHeader {\n  static constexpr std::size_t kBytes = 20;\n};",
        "models/flow/a.cc": "// struct Ipv4Header {\nstruct Ipv4Header;\nwire::TcpHeader tcp; int x = 0x0801;",
        "models/flow/a_test.cc": "packet.ethertype = 0x0800;",
        "ns3-module/model/a.cc": "ns3::Ipv4Header header;",
    }
    assert check_wire.check(tree(tmp_path, contents)) == []


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("models/flow/a.h", "#ifndef X\n", 1),
        ("models/flow/a.h", "// SPDX-License-Identifier: GPL-2.0-only\n", 1),
        ("ns3-module/model/a.cc", SPDX, 1),
        ("scenarios/a.cc", SPDX, 1),
        ("ns3-module/test/a.py", "# SPDX-License-Identifier: BSD-3-Clause\n", 1),
        ("tools/a.py", "#!/usr/bin/python3\nimport os\n", 2),
        ("tools/a", "#!/bin/bash\necho\n", 2),
    ],
)
def test_spdx_fires(tmp_path: Path, path: str, text: str, line: int) -> None:
    found = check_spdx.check(tree(tmp_path, {path: text}))
    assert len(found) == 1
    assert found[0].startswith(f"{path}:{line}: ")


def test_spdx_is_silent(tmp_path: Path) -> None:
    contents = {
        "models/flow/a.h": SPDX + "#ifndef X\n",
        "ns3-module/model/a.h": "// SPDX-License-Identifier: GPL-2.0-only\n",
        "scenarios/a.py": "# SPDX-License-Identifier: BSD-3-Clause\n",
        "tools/a": "#!/bin/bash\n# SPDX-License-Identifier: BSD-3-Clause\n",
        "analysis/__init__.py": "",
        "README.md": "no licence line\n",
    }
    assert check_spdx.check(tree(tmp_path, contents)) == []


def test_headers_fire_and_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_headers, "ROOT", tmp_path)
    (tmp_path / "good.h").write_text("#include <string>\ninline std::string x;\n")
    (tmp_path / "leans.h").write_text("inline std::string x;\n")
    (tmp_path / "young.h").write_text("#include <span>\ninline std::span<int> x;\n")
    assert check_headers.compiled(["good.h"], "c++17", [f"-I{tmp_path}"]) == ""
    assert "leans.h:1: does not compile alone" in check_headers.compiled(["leans.h"], "c++17", [f"-I{tmp_path}"])
    assert "young.h:1:" in check_headers.compiled(["young.h"], "c++17", [f"-I{tmp_path}"])
    assert check_headers.compiled(["young.h"], "c++2b", [f"-I{tmp_path}"]) == ""


def test_headers_notice_changes_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_headers, "ROOT", tmp_path)
    (tmp_path / "top.h").write_text('#include "below.h"\n')
    (tmp_path / "below.h").write_text("int x;\n")
    before = check_headers.fingerprint("top.h", {})
    (tmp_path / "below.h").write_text("int y;\n")
    assert check_headers.fingerprint("top.h", {}) != before


def test_blanking_keeps_lines() -> None:
    text = 'int a; // one\n/* two\nthree */ int b; const char* c = "// four";\n'
    assert cxx_source.blanked(text).count("\n") == text.count("\n")
    assert "int b;" in cxx_source.blanked(text)
    assert "four" not in cxx_source.blanked(text)
    assert '"// four"' in cxx_source.blanked(text, keep_strings=True)
