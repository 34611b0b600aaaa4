# SPDX-License-Identifier: BSD-3-Clause
"""`why`: what it says of a flow is what the trace holds and what other readers see in the capture."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from foreflow import inputs
from foreflow.errors import Refused
from foreflow.traces import kept, replays, why
from foreflow.traces.replays import Replay
from tools import trace_events

h5py = pytest.importorskip("h5py")

BUILD = os.environ.get("FOREFLOW_BUILD")
needs_build = pytest.mark.skipif(not BUILD, reason="FOREFLOW_BUILD names no build")
RECORDED = inputs.recorded()
FLOW = "10.20.12.1:42532>10.20.0.6:5201/tcp"


def names_of(table: str, column: str) -> tuple[str, ...]:
    return next(c.names for c in trace_events.load().tables[table].columns if c.name == column)


def test_every_code_has_its_sentence() -> None:
    assert tuple(why.REASONS) == names_of("decisions", "reason")
    assert tuple(why.TAGS) == names_of("decisions", "tag_status")
    sentences = [text.format(rule=7, tag_rule=8) for text in why.REASONS.values()] + list(why.TAGS.values())
    assert len(set(sentences)) == len(sentences) and all(len(text.split()) > 2 for text in sentences)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.1", "allowed: 10.0.0.1:1234>"),
        ("10.0.0.256>10.0.0.1", "source is 10.0.0.256, allowed: an IPv4 address"),
        ("[::g]>[::1]", "source is [::g], allowed"),
        ("10.0.0.1>[::1]", "of two families"),
        ("10.0.0.1:65536>10.0.0.1", "source port is 65536, allowed: 0..65535"),
        ("10.0.0.1>10.0.0.2/quic", "protocol is quic, allowed: icmp, tcp"),
        ("10.0.0.1>10.0.0.2/256", "protocol is 256, allowed: 0..255"),
        ("10.0.0.1>10.0.0.2/tcp@70000", "VM is 70000, allowed: 0..65535"),
    ],
)
def test_refuses_what_is_no_flow(text: str, says: str) -> None:
    with pytest.raises(Refused, match="--flow") as refusal:
        why.parse_key(text)
    assert says in str(refusal.value)


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory: pytest.TempPathFactory) -> kept.Kept:
    out = tmp_path_factory.mktemp("why") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays, "build", lambda *_: Path(str(BUILD)))
        assert replays.keep(Replay(RECORDED, "tag", ["device.flow_entries=16"], "predictive", "pcap", 1), out, fingerprint=False, as_json=True) == 0
    return kept.open_run(out)


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "build", lambda *_: Path(str(BUILD)))


@needs_build
def test_names_the_packets_that_wireshark_finds(run: kept.Kept) -> None:
    fields = "ip.src == 10.20.12.1 && tcp.srcport == 42532 && ip.dst == 10.20.0.6 && tcp.dstport == 5201 && !icmp"
    lengths = subprocess.run(["tshark", "-r", RECORDED, "-Y", fields, "-T", "fields", "-e", "frame.len"], capture_output=True, text=True, check=True).stdout.split()
    (flow,) = why.document_of(run, FLOW)["flows"]
    assert (flow["packets"], flow["bytes"]) == (len(lengths), sum(map(int, lengths)))
    assert sum(flow["reasons"].values()) == sum(change["packets"] for change in flow["changes"]) == len(lengths)


@needs_build
def test_changes_and_causes_are_those_of_every_packet(run: kept.Kept) -> None:
    (flow,) = why.document_of(run, FLOW)["flows"]
    with h5py.File(run.trace) as file:
        decisions = file["decisions"][:]
    of_it = [row for row in decisions if row["flow"] == decisions[flow["changes"][0]["packet"]]["flow"]]
    at = 0
    for change in flow["changes"]:
        alike = of_it[at : at + change["packets"]]
        assert change["packet"] == alike[0]["packet"]
        assert {(int(row["reason"]), int(row["queue"]), int(row["rule"])) for row in alike} == {
            (kept.value_of("decisions", "reason", change["reason"]), change["queue"], change["rule"]["id"])
        }
        assert change["on_fast_path"] == (not alike[0]["punted"])
        # An entry is gone or on its way where the packet missed, and nowhere else.
        assert change["on_fast_path"] == ("has been ready" in change["entry"]), change
        at += change["packets"]
    assert at == len(of_it) and flow["punted"] == sum(int(row["punted"]) for row in of_it)
    gone = next(change for change in flow["changes"] if "is gone" in change["entry"])
    assert "the device holds 16" in gone["entry"]
    since = next(change for change in reversed(flow["changes"]) if not change["on_fast_path"])
    assert flow["since_packet"] > since["packet"] and flow["on_fast_path"]
    text = why.text_of(why.document_of(run, FLOW))
    assert "on the fast path since packet" in text and "governor" in text


@needs_build
def test_a_flow_that_is_not_there_names_those_that_are(run: kept.Kept) -> None:
    with pytest.raises(Refused, match=r"its flows between these addresses: 10\.20\.12\.1:\d+>10\.20\.0\.6:\d+/tcp@\d+"):
        why.document_of(run, "10.20.12.1:1>10.20.0.6")
    with pytest.raises(Refused, match="none between these addresses"):
        why.document_of(run, "[fd00::1]>[fd00::77]")
    assert len(why.document_of(run, "10.20.12.1:*>10.20.0.6:5201")["flows"]) > 1


@needs_build
def test_without_the_capture_the_trace_still_answers(run: kept.Kept, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "moved")
    moved = kept.open_run(tmp_path / "moved")
    moved.resolved["input"] = str(tmp_path / "gone.pcapng")
    document = why.document_of(moved, FLOW)
    assert "is gone" in document["causes_missing"]
    whole = why.document_of(run, FLOW)
    assert [change["why"] for change in document["flows"][0]["changes"]] == [change["why"] for change in whole["flows"][0]["changes"]]
    assert all(change["entry"] is None for change in document["flows"][0]["changes"])
