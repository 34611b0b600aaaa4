# SPDX-License-Identifier: BSD-3-Clause
"""A folder of runs, each under the name of its key: the meeting place of all that run, on whatever machine.

    STORE/VERSION             number of this format
    STORE/<key>/              a finished run
    STORE/<key>.failed/       one that failed, with its log; another failure of it is <key>.failed.2, and so on
    STORE/<key>.2/            what <key>/ was before a fresh run took its place, or before it was spoiled
    STORE/<key>.<token>.tmp/  a run that is being written, or whose process was killed
    STORE/claims/<key>        locked by the process that runs <key>
    STORE/index.jsonl         rows of all runs, for speed: may be deleted at any time

A run appears under its name only when it is whole: written beside, synced, renamed. Nothing is deleted or overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreflow.errors import Refused
from foreflow.runs import rows

FORMAT = 1
RUN_FOLDER = re.compile(r"^(?P<key>[0-9a-f]{16})(?:\.failed(?:\.(?P<failure>\d+))?)?$")
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def replace_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


class Store:
    """Opened by `of` to be written, by `existing` to be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, folder: Path) -> Store:
        """The store in `folder`, made where there is none; refuses what cannot be written."""
        store = cls(folder)
        store._check_version()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "VERSION").exists():
                replace_text(folder / "VERSION", f"{FORMAT}\n")
            (folder / "claims").mkdir(exist_ok=True)
            probe = folder / f"{secrets.token_hex(4)}.tmp"
            probe.mkdir()  # a folder that is there may still be read-only
            probe.rmdir()
        except OSError as error:
            raise Refused(f"{folder}: cannot be written: {_why(error)}; name another folder") from None
        return store

    @classmethod
    def existing(cls, folder: Path) -> Store:
        """The store in `folder`; refuses what is none."""
        store = cls(folder)
        if not folder.is_dir():
            raise Refused(f"{folder}: no such folder; allowed is a store of runs")
        if not store._check_version() and not any(RUN_FOLDER.match(entry.name) for entry in os.scandir(folder)):
            raise Refused(f"{folder}: is no store of runs: it has neither VERSION nor runs")
        return store

    def _check_version(self) -> bool:
        """Whether the store says its version; refuses another one."""
        path = self.folder / "VERSION"
        try:
            said = path.read_text(encoding="utf-8", errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise Refused(f"{path}: cannot be read: {_why(error)}") from None
        if said != str(FORMAT):
            raise Refused(f"{path}: the store's format is {said[:20]!r}; allowed is {FORMAT}: read it with the version of foreflow that wrote it, or name another folder")
        return True

    def run(self, key: str) -> Path:
        """Where a finished run of `key` is or will be."""
        return self.folder / key

    def finished(self, key: str) -> dict[str, Any] | None:
        """The row of the whole run of `key`, measured again where it has none; None where there is no whole run."""
        folder = self.run(key)
        if not folder.is_dir():
            return None
        row = rows.read(folder)
        if row is None and (row := rows.rebuilt(folder)) is not None:
            with contextlib.suppress(OSError):  # a store that is only read
                rows.write(folder, row)
        return row if row is not None and rows.is_whole(folder, row) else None

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Whether the right to run `key` is ours until the block ends; the kernel gives it back when we die.

        Where the file system has no locks it is always ours: two may then run the same, and the first to finish is kept.
        """
        path = self.folder / "claims" / key
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, *NO_LOCKS):
                    raise
                yield error.errno in NO_LOCKS
                return
            try:
                same = os.path.samestat(os.fstat(handle), os.stat(path))
            except FileNotFoundError:
                same = False
            if same:
                break
            os.close(handle)  # its last owner removed it in the meantime
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(handle)

    def new_folder(self, key: str) -> Path:
        """An empty one, to be filled and then kept."""
        folder = self.folder / f"{key}.{secrets.token_hex(4)}.tmp"
        folder.mkdir()
        return folder

    def spoiled(self, key: str) -> str:
        """What is wrong with the folder of `key`, in a sentence; empty where there is none or it is whole."""
        folder = self.run(key)
        return self._row_in(folder, key)["sentence"] if folder.exists() else ""

    def keep(self, work: Path, key: str, done: bool) -> Path:
        """Gives the filled folder `work` its name and returns it; what had that name is kept as <key>.2, <key>.3, ..."""
        sync(work)
        if not done:
            return _first_free(work, f"{key}.failed")
        target = self.run(key)
        while True:
            try:
                os.rename(work, target)
                return target
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            with contextlib.suppress(FileNotFoundError):  # another did the same
                _first_free(target, key)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each key, sorted by key: its finished run, else its last failure.

        A folder that is not a whole run is a row of status `corrupt` with the reason as its sentence.
        """
        index = self._index()
        found: dict[str, tuple[int, dict[str, Any]]] = {}  # by key: how late, row
        entries: dict[str, Any] = {}
        changed = False
        for entry in os.scandir(self.folder):
            if not (match := RUN_FOLDER.match(entry.name)) or not entry.is_dir():
                continue
            stamp = rows.stamp(Path(entry.path))
            kept = index.get(entry.name)
            if stamp is not None and kept is not None and kept["stamp"] == stamp:
                row = kept["row"]
            else:
                row = self._row_in(Path(entry.path), match["key"])
                stamp = rows.stamp(Path(entry.path))
                changed = True
            if stamp is not None and row["status"] != "corrupt":
                entries[entry.name] = {"folder": entry.name, "stamp": stamp, "row": row}
            late = 0 if row["status"] == "corrupt" else 1 << 62 if entry.name == match["key"] else int(match["failure"] or 1)
            if match["key"] not in found or found[match["key"]][0] < late:
                found[match["key"]] = late, row
        if changed or len(entries) != len(index):
            self._write_index(entries)
        return [found[key][1] for key in sorted(found)]

    def folder_of(self, row: dict[str, Any]) -> Path:
        """Where the run of a row is kept, with its log."""
        if row["status"] != "failed":
            return self.run(row["key"])
        failures = [entry.name for entry in os.scandir(self.folder) if entry.name.startswith(f"{row['key']}.failed")]
        return self.folder / max(failures, key=lambda name: (len(name), name), default=f"{row['key']}.failed")

    def _row_in(self, folder: Path, key: str) -> dict[str, Any]:
        row = rows.read(folder)
        if row is None and (row := rows.rebuilt(folder)) is not None:
            with contextlib.suppress(OSError):
                rows.write(folder, row)
        if row is None:
            return rows.corrupt(key, folder, "row.json and manifest.json cannot be read")
        lacks = rows.missing(folder, row) if row["status"] == "done" else None
        return row if lacks is None else rows.corrupt(key, folder, lacks)

    def _index(self) -> dict[str, Any]:
        try:
            lines = (self.folder / "index.jsonl").read_text(encoding="utf-8").splitlines()
            entries = [json.loads(line) for line in lines]
            return {entry["folder"]: entry for entry in entries if entry["row"]["key"] and entry["stamp"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write_index(self, entries: dict[str, Any]) -> None:
        text = "".join(json.dumps(entries[name]) + "\n" for name in sorted(entries))
        with contextlib.suppress(OSError):  # a store that is only read has none
            replace_text(self.folder / "index.jsonl", text)


def _first_free(folder: Path, name: str) -> Path:
    """Renames `folder` to `name`, or where that is taken to `name.2`, `name.3`, ...; its new place."""
    number = 2 if folder.name == name else 1
    while True:
        target = folder.with_name(name if number == 1 else f"{name}.{number}")
        try:
            if not target.exists():
                os.rename(folder, target)
                return target
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        number += 1


def sync(folder: Path) -> None:
    """Returns when the files of `folder` are on the disk."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
