#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each wire header is defined once, in models/wire.

    tools/check_wire.py [ROOT]

Outside models/wire no C++ file defines a header's struct or layout constants, spells an ethertype as a number, swaps
bytes itself or includes the system's header structs. Inside, each header's struct is defined once. Test files may
spell numbers. The ns-3 module may use ns-3's own headers, by name. Prints file:line: reason; exits with 1 where it
found any.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cxx_source import ROOT, blanked, files, includes, is_test, line_of, report

_HEADERS = r"(?:ethernet|ether|vlan|qinq|arp|ipv?4|ipv?6|ip|icmp|icmpv?6|tcp|udp|geneve|erspan|gre|sll2?|cooked)"
SYSTEM_INCLUDES = re.compile(
    r"^(netinet/|net/(ethernet|if_arp)\.h|linux/(if_ether|if_vlan|ip|ipv6|tcp|udp|icmp|icmpv6)\.h|"
    r"endian\.h|sys/endian\.h|byteswap\.h|boost/endian)"
)
STRUCT = re.compile(
    rf"\b(?:struct|class|union)\s+({_HEADERS}_?(?:header|hdr|head|layout|fragment|options|tag|extension))\s*(?:final\s*)?[:{{]",
    re.IGNORECASE,
)
SYSTEM_STRUCT = re.compile(
    r"\b(?:struct\s+)?(ether_header|ethhdr|ether_arp|vlan_ethhdr|iphdr|ipv6hdr|ip6_hdr|tcphdr|udphdr|icmphdr|icmp6_hdr)\b"
)
SWAP = re.compile(r"\b(hton[sl]|ntoh[sl]|htobe\d+|be\d+toh)\b")
CONSTANT = re.compile(
    rf"\bconstexpr\s+[\w:<>\s]+?\b(k{_HEADERS}\w*?(?:Bytes|Size|Offset|Header\w*|Type|Ethertype|Protocol)"
    rf"|kEther[Tt]ype\w*|kProtocol(?:Tcp|Udp|Icmp|Icmpv6))\s*(?:=|\{{)",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\bconstexpr\b[^;\n]*?\b(k(?:Tcp)?(?:Fin|Syn|Rst|Psh|Ack|Urg)|k(?:Tcp|Udp|Icmp|Icmpv6))\s*=")
ETHERTYPE = re.compile(r"\b0x(?:0800|0?806|86dd|8100|88a8|9100)\b", re.IGNORECASE)
OWN_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{\s*static constexpr std::size_t kBytes\b")


def check_outside(path: str, text: str) -> list[str]:
    """Findings in a file that is not of models/wire."""
    found = []
    for line, target in includes(text):
        if SYSTEM_INCLUDES.match(target):
            found.append(f"{path}:{line}: includes <{target}>: byte order and header layouts come from models/wire")
    bare = blanked(text)
    rules = {
        "a header is defined in models/wire alone": STRUCT,
        "the system's header struct": SYSTEM_STRUCT,
        "byte order is models/wire/be.h's": SWAP,
        "layout constants are models/wire's": CONSTANT,
    }
    if not is_test(path):
        rules["protocol numbers and TCP flags are models/wire's"] = NUMBER
        rules["ethertypes are named in models/wire/ethernet.h"] = ETHERTYPE
    for reason, pattern in rules.items():
        for match in pattern.finditer(bare):
            named = (match.group(1) if pattern.groups else match.group(0)).strip()
            found.append(f"{path}:{line_of(bare, match.start())}: {named}: {reason}")
    return found


def check(root: Path) -> list[str]:
    """All findings below `root`."""
    findings: list[str] = []
    defined: dict[str, str] = {}
    for path in files(root, ("*.cc", "*.h", "*.cpp", "*.hpp")):
        text = (root / path).read_text()
        if not path.startswith("models/wire/"):
            findings += check_outside(path, text)
            continue
        bare = blanked(text)
        for match in OWN_STRUCT.finditer(bare):
            where = f"{path}:{line_of(bare, match.start())}"
            if match.group(1) in defined:
                findings.append(f"{where}: {match.group(1)} is also defined at {defined[match.group(1)]}")
            defined[match.group(1)] = where
    return findings


if __name__ == "__main__":
    sys.exit(report(check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)))
