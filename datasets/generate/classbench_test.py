# SPDX-License-Identifier: BSD-3-Clause
"""Generated rule sets beside published statistics of ClassBench's."""

from __future__ import annotations

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
