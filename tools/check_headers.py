#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every public header compiles alone as C++17, and all of them together as C++20 and 23.

    tools/check_headers.py [--cache FOLDER] [--include FOLDER]...

Public are the headers of models, hw-models and bindings (but not bindings/python and bindings/dpdk, whose libraries
are optional, nor what only tests include). A header whose text, and that of all project headers it includes, passed
before is not compiled again.
Prints the compiler's messages; exits with 1 where there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxx_source import ROOT, files, includes, report

COMPILER = os.environ.get("CXX", "g++")
STANDARD = "c++17"
LATER = ("c++20", "c++2b")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
PUBLIC = ("models/*.h", "hw-models/*.h", "bindings/*.h")
OPTIONAL = ("bindings/python/", "bindings/dpdk/")
OF_TESTS = re.compile(r"/test_\w+\.h$|_test\.h$")
PACKAGES = ("hdf5", "libpcap", "libsodium")


def package_flags() -> list[str]:
    """Include flags of the libraries that public headers may name, where they are installed."""
    flags: list[str] = []
    for package in PACKAGES:
        said = subprocess.run(["pkg-config", "--cflags", package], check=False, capture_output=True, text=True)
        flags += said.stdout.split() if said.returncode == 0 else []
    return flags


def fingerprint(path: str, seen: dict[str, bytes]) -> bytes:
    """A digest of the header and of all project headers below it."""
    if path not in seen:
        seen[path] = b""  # an include cycle ends here
        text = (ROOT / path).read_text()
        digest = hashlib.sha256(text.encode())
        for _, target in includes(text):
            if (ROOT / target).is_file():
                digest.update(fingerprint(target, seen))
        seen[path] = digest.digest()
    return seen[path]


def compiled(paths: list[str], standard: str, flags: list[str]) -> str:
    """The compiler's messages of a source that includes these; empty where it is content."""
    included = [flag for path in paths for flag in ("-include", path)]
    done = subprocess.run(
        [COMPILER, f"-std={standard}", "-fsyntax-only", *WARNINGS, *flags, *included, "-x", "c++", "/dev/null"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return ""
    which = f"{paths[0]}:1: does not compile alone" if len(paths) == 1 else "headers: do not compile together"
    return f"{which} as {standard}\n{done.stderr}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="where to remember what passed")
    parser.add_argument("--include", action="append", default=[], help="further include folder (generated headers)")
    arguments = parser.parse_args()

    flags = ["-I", str(ROOT), *(f"-I{folder}" for folder in arguments.include), *package_flags()]
    version = subprocess.run([COMPILER, "--version"], check=True, capture_output=True, text=True).stdout
    passed: set[str] = set()
    if arguments.cache and arguments.cache.is_file():
        passed = set(arguments.cache.read_text().split())

    seen: dict[str, bytes] = {}
    public = [path for path in files(ROOT, PUBLIC) if not path.startswith(OPTIONAL) and not OF_TESTS.search(path)]
    jobs = {}
    known = set()
    for paths, standard in [(public, later) for later in LATER] + [([path], STANDARD) for path in public]:
        text = repr(([fingerprint(path, seen) for path in paths], paths, standard, flags, WARNINGS, version))
        key = hashlib.sha256(text.encode()).hexdigest()
        known.add(key)
        if key not in passed:
            jobs[key] = (paths, standard)
    with ThreadPoolExecutor(max_workers=2) as pool:
        messages = dict(zip(jobs, pool.map(lambda job: compiled(*job, flags), jobs.values())))
    passed = (passed & known) | {key for key, message in messages.items() if not message}
    if arguments.cache:
        arguments.cache.write_text("\n".join(sorted(passed)))
    return report([message for message in messages.values() if message])


if __name__ == "__main__":
    sys.exit(main())
