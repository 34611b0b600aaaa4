# SPDX-License-Identifier: BSD-3-Clause
"""Generated rule sets beside published statistics of ClassBench's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from . import classbench

# Of acl1, fw1 and ipc1 with about 1000 and 10 000 rules: different masks, and of the 1000 the mean number of rules
# before a rule that it depends on, with the share of rules that depend on none.
PUBLISHED = {"acl": (139, 296, 10, 0.5), "fw": (165, 281, 94, 0.5), "ipc": (323, 708, 36, 0.5)}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_shape_is_that_of_the_published_sets(kind: str) -> None:
    small, large, closure, independent = PUBLISHED[kind]
    sets = [classbench.rule_set(f"{kind}1k", seed) for seed in range(1, 6)]
    assert all(len(rules) == 1000 for rules in sets)
    for rules in sets:
        assert small / 1.6 < classbench.tuples(rules) < small * 1.6
    assert large / 1.6 < classbench.tuples(classbench.rule_set(f"{kind}10k", 1)) < large * 1.6
    # A few wide rules make the closures, of which a set of a thousand has more or less by chance.
    closures = np.concatenate([classbench.closures(rules) for rules in sets])
    assert closure / 2.5 < closures.mean() < closure * 2.5
    assert np.mean(closures == 0) >= independent
    assert np.percentile(closures, 99) > 100


def test_same_seed_same_rules_and_all_are_different() -> None:
    one, same, other = (classbench.rule_set("fw1k", seed) for seed in (1, 1, 2))
    table = np.column_stack([column.astype(np.int64) for column in one.columns()])
    assert all(np.array_equal(a, b) for a, b in zip(one.columns(), same.columns()))
    assert not np.array_equal(one.source, other.source)
    assert len(np.unique(table, axis=0)) == len(one)
    assert np.all(one.source & ~classbench._mask(one.source_length) == 0)


@pytest.mark.parametrize("popularity", ("uniform", "zipf"))
def test_every_header_matches_a_rule(popularity: str) -> None:
    rules = classbench.rule_set("ipc1k", 1)
    headers = classbench.headers(rules, 2000, 5, popularity)
    for i in range(0, 2000, 7):
        match = ((rules.source ^ headers.source[i]) & classbench._mask(rules.source_length)) == 0
        match &= ((rules.destination ^ headers.destination[i]) & classbench._mask(rules.destination_length)) == 0
        for ports, port in ((rules.source_ports, headers.source_port[i]), (rules.destination_ports, headers.destination_port[i])):
            match &= (ports[:, 0] <= port) & (port <= ports[:, 1])
        match &= (rules.protocol == headers.protocol[i]) | (rules.protocol == classbench.ANY_PROTOCOL)
        assert match.any()


def test_zipf_headers_recur_as_the_first_ranks_say() -> None:
    headers = classbench.headers(classbench.rule_set("acl1k", 1), 50_000, 1, "zipf")
    _, counts = np.unique(np.column_stack([headers.source, headers.destination, headers.source_port]), axis=0, return_counts=True)
    counts = np.sort(counts)[::-1]
    weight = 1 / np.arange(1, 5001)
    assert counts[0] / 50_000 == pytest.approx(weight[0] / weight.sum(), rel=0.1)
    assert counts[:10].sum() / 50_000 == pytest.approx(weight[:10].sum() / weight.sum(), rel=0.1)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed: acl1k"):
        classbench.rule_set("acl2k", 1)


# What ClassBench's own parameter file of acl1 says of the 733 filters that it was taken from (Taylor, Turner: technical
# report WUCSE-2004-28, section 4; read in the notes on that format by A. Fingerhut): share of each protocol, with the shares
# of its destination ports that are any, a range and exact; source ports are any in all of them.
ACL1_PROTOCOLS = {
    classbench.ANY_PROTOCOL: (0.08458390, (1.0, 0.0, 0.0)),
    classbench.ICMP: (0.03137790, (1.0, 0.0, 0.0)),
    classbench.TCP: (0.87312412, (0.21562500, 0.13124999, 0.65312499)),
    classbench.UDP: (0.01091405, (0.0, 0.12500000, 0.87500000)),
}
# Of those with an exact destination port, by the sum of both prefix lengths: its share, and of it the source's lengths.
ACL1_LENGTHS = {
    51: (0.00470588, {23: 1.0}), 52: (0.01411765, {30: 1.0}), 53: (0.00705882, {31: 1.0}), 54: (0.04470588, {23: 0.05263158, 32: 0.94736844}),
    55: (0.02823529, {23: 1.0}), 62: (0.01176471, {32: 1.0}), 63: (0.04235294, {31: 0.61111110, 32: 0.38888890}), 64: (0.84705883, {32: 1.0}),
}  # fmt: skip


def _published_acl1() -> list[list[float]]:
    """Rows of the table in percent: protocols; source port; destination ports; prefix lengths."""
    lengths = [(source, total - source, share * part) for total, (share, parts) in ACL1_LENGTHS.items() for source, part in parts.items()]
    wide, ranges, exact = (sum(share * ports[i] for share, ports in ACL1_PROTOCOLS.values()) for i in range(3))
    return [
        [100 * share for share, _ in ACL1_PROTOCOLS.values()],
        [100],
        [100 * wide, 0, 100 * ranges, 100 * exact],
        [100 * sum(share for source, destination, share in lengths if is_meant(source, destination))
         for is_meant in (lambda s, d: s == 32, lambda s, d: d == 32, lambda s, d: s == d == 32)],
    ]  # fmt: skip


def _of(rules: classbench.RuleSet) -> list[list[float]]:
    """The same of a generated set."""
    low, high = rules.destination_ports.T
    exact, wide, ephemeral = low == high, (low == 0) & (high == 65_535), (low == 1024) & (high == 65_535)
    any_source = (rules.source_ports == classbench.ANY_PORT).all(axis=1)
    source, destination = (lengths[any_source & exact] == 32 for lengths in (rules.source_length, rules.destination_length))
    return [
        [100 * np.mean(rules.protocol == protocol) for protocol in ACL1_PROTOCOLS],
        [100 * np.mean(any_source)],
        [100 * np.mean(which) for which in (wide, ephemeral, ~(exact | wide | ephemeral), exact)],
        [100 * np.mean(which) for which in (source, destination, source & destination)],
    ]


def _tables() -> list[list[list[str]]]:
    """The cells of the tables in ../README.md, heads and names of rows left out."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    tables: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")][1:])
        elif tables[-1]:
            tables.append([])
    return [rows[2:] for rows in tables if rows]


def _percent(values: list[float]) -> str:
    return ", ".join("100" if value == 100 else "0" if value == 0 else f"{value:.1f}" for value in values)


def test_the_tables_beside_published_sets_are_what_is_generated() -> None:
    _, shares, shapes = _tables()
    columns = [_published_acl1(), *(_of(classbench.rule_set(f"acl{size}", 1)) for size in classbench.SIZES)]
    assert shares == [[_percent(column[row]) for column in columns] for row in range(4)]
    for (kind, (small, large, closure, _)), row in zip(PUBLISHED.items(), shapes, strict=True):
        sets = {size: classbench.rule_set(f"{kind}{size}", 1) for size in ("1k", "10k")}
        mean = classbench.closures(sets["1k"]).mean()
        told = [small, classbench.tuples(sets["1k"]), large, classbench.tuples(sets["10k"]), closure, round(float(mean))]
        assert row == [str(value) for value in told]
