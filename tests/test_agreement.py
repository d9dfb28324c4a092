"""Whether domains are sources or lengths in disguise."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

import rbic_hf
from rbic_hf.agreement import domain_agreement, mutual_information


def made(domain: list[int], tokens: list[int], **columns: list) -> Dataset:
    n = len(domain)
    return Dataset.from_dict(
        {
            **columns,
            "rbic_status": ["clean"] * n,
            "rbic_rank": list(range(n)),
            "rbic_key": [str(i) for i in range(n)],
            "rbic_domain": domain,
            "rbic_domain_label": [f"d{i}" for i in domain],
            "rbic_duplicate_group": list(range(n)),
            "rbic_tier": [None] * n,
            "rbic_contribution": [0.5] * n,
            "rbic_tokens": tokens,
            "rbic_cost": [float(t) for t in tokens],
        }
    )


def test_equal_labellings_agree_fully_and_crossed_ones_not_at_all() -> None:
    a = np.array([0, 0, 1, 1], np.int32)
    assert mutual_information(a, a) == pytest.approx(1)
    assert mutual_information(a, 1 - a) == pytest.approx(1)
    assert mutual_information(a, np.array([0, 1, 0, 1], np.int32)) == pytest.approx(0, abs=1e-9)


def test_domains_that_are_sources_are_warned_of_and_others_not() -> None:
    domain = [0, 1] * 20
    tokens = [10 + i // 2 for i in range(40)]
    same = made(domain, tokens, source=["ab"[d] for d in domain])
    found = domain_agreement(same, np.arange(40))
    assert found["column 'source'"] == pytest.approx(1) and found["length decile"] < 0.1
    report = rbic_hf.report(same, rbic_hf.select(same, 0.5))
    assert "warning: the domains are little more than the column 'source'" in str(report)
    crossed = made(domain, tokens, source=["ab"[(i // 2) % 2] for i in range(40)])
    assert "warning" not in str(rbic_hf.report(crossed, rbic_hf.select(crossed, 0.5)))


def test_domains_that_are_lengths_are_warned_of() -> None:
    tokens = list(range(10, 50))
    found = made([i // 4 for i in range(40)], tokens)
    report = rbic_hf.report(found, rbic_hf.select(found, 0.5))
    assert report.agreement == {"length decile": pytest.approx(1)}
    assert "little more than the length decile" in str(report)


@pytest.mark.parametrize(
    "source",
    [
        ["one"] * 40,  # no sources
        [str(i) for i in range(40)],  # below the limit: sources, though of one row each
        [i % 2 for i in range(40)],  # numbers are no names of sources
        [None] * 40,
    ],
)
def test_columns_that_name_no_sources_are_left_out(source: list) -> None:
    rows = made([0, 1] * 20, list(range(10, 50)), source=source)
    found = domain_agreement(rows, np.arange(40))
    assert ("column 'source'" in found) == (len(set(map(str, source))) == 40)


def test_one_domain_agrees_with_nothing() -> None:
    rows = made([0] * 40, list(range(10, 50)), source=["a", "b"] * 20)
    assert domain_agreement(rows, np.arange(40)) == {}
