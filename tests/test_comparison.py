"""The methods that RBIC is held against, on scored datasets."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset

import rbic_hf
from rbic_hf import ConfigError, DataError, engines, likelihood_columns
from rbic_hf.comparison import ORDERS
from rbic_hf.config import PROXY_COLUMNS, Method
from rbic_hf.probers.likelihood import Likelihoods, Passage
from rbic_hf.protocols import Encoder

WITHOUT_PROXY = [method for method in get_args(Method) if method not in PROXY_COLUMNS]


class SlowReader:
    """Scores a response by its length, and counts how often it is asked."""

    spec = {"proxy": "length"}

    def __init__(self) -> None:
        self.num_asked = 0

    def score(self, passages: list[Passage]) -> Likelihoods:
        self.num_asked += len(passages)
        length = np.array([float(len(p.response)) for p in passages])
        gain = np.where(length % 5 == 0, np.nan, -length)
        return Likelihoods(1 / (1 + length), length, gain, np.ones(len(passages)))


@pytest.fixture
def scored(dataset: Dataset, encoder: Encoder, prober: TableProber) -> Dataset:
    return rbic_hf.score(dataset, config=SMALL, encoder=encoder, prober=prober)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> SlowReader:
    fake = SlowReader()
    monkeypatch.setattr(engines, "resolve_proxy", lambda model: fake)
    return fake


def clean_part(scored: Dataset) -> Dataset:
    return scored.filter(lambda status: status == "clean", input_columns="rbic_status")


@pytest.mark.parametrize("unit", ["cost", "tokens", "rows"])
@pytest.mark.parametrize("method", WITHOUT_PROXY)
def test_every_method_spends_the_budget_to_within_one_row(scored, method, unit) -> None:
    kept = rbic_hf.select(scored, 0.2, unit=unit, method=method)
    pool = clean_part(scored)
    column = "rows" if method == "random_rows" else unit
    amount = {
        "rows": lambda part: np.ones(part.num_rows),
        "tokens": lambda part: np.array(part["rbic_tokens"], float),
        "cost": lambda part: np.array(part["rbic_cost"]),
    }[column]
    budget, spent = 0.2 * amount(pool).sum(), amount(kept).sum()
    assert budget - amount(pool).max() <= spent <= budget + amount(pool).max() / 2
    assert set(kept["rbic_key"]) <= set(pool["rbic_key"])
    assert set(kept["rbic_status"]) == {"kept"}


@pytest.mark.parametrize("method", [m for m in WITHOUT_PROXY if m != "twin"])
def test_smaller_ratios_are_subsets(scored: Dataset, method: Method) -> None:
    small, large = (rbic_hf.select(scored, r, method=method)["rbic_key"] for r in (0.1, 0.3))
    assert set(small) < set(large)


@pytest.mark.parametrize("method", WITHOUT_PROXY)
def test_a_method_selects_the_same_twice(scored: Dataset, method: Method) -> None:
    first, again = (rbic_hf.select(scored, 0.2, method=method, seed=3) for _ in range(2))
    assert first["rbic_key"] == again["rbic_key"]


@pytest.mark.parametrize("method", WITHOUT_PROXY)
def test_shuffled_rows_are_the_same_selection(scored: Dataset, method: Method) -> None:
    moved = scored.shuffle(seed=1)
    one, other = (rbic_hf.select(rows, 0.2, method=method) for rows in (scored, moved))
    assert set(one["rbic_key"]) == set(other["rbic_key"])


def test_longest_shortest_and_contribution_take_the_ends_of_their_column(scored) -> None:
    pool = clean_part(scored)
    for method, column, sign in (
        ("longest", "rbic_tokens", 1),
        ("shortest", "rbic_tokens", -1),
        ("contribution", "rbic_contribution", 1),
    ):
        kept = rbic_hf.select(scored, 0.2, unit="rows", method=method)
        values = sign * np.sort(sign * np.array(pool[column]))
        best = values[::-1][: kept.num_rows]
        assert sorted(kept[column]) == pytest.approx(sorted(best)), method


def test_the_seed_draws_random_rows_and_random_rows_count_rows(scored: Dataset) -> None:
    one, other = (rbic_hf.select(scored, 0.2, method="random", seed=s) for s in (0, 1))
    assert one["rbic_key"] != other["rbic_key"]
    rows = rbic_hf.select(scored, 0.25, method="random_rows")
    assert rows.num_rows == clean_part(scored).num_rows // 4


def test_coverage_alone_covers_more_than_random_rows(scored: Dataset) -> None:
    def covered(method: Method) -> float:
        kept = rbic_hf.select(scored, 0.2, unit="rows", method=method)
        report = rbic_hf.report(scored, kept)
        assert report.coverage.kept is not None
        return report.coverage.kept

    assert covered("facility_location") > covered("random") + 0.01


@pytest.mark.parametrize("method", ["k_center", "centroids", "facility_location"])
def test_a_method_that_looks_at_vectors_says_when_there_are_none(scored, method) -> None:
    with pytest.raises(DataError, match=r"rbic_embedding.*with_embeddings=True"):
        rbic_hf.select(scored.remove_columns("rbic_embedding"), 0.2, method=method)


@pytest.mark.parametrize("method", PROXY_COLUMNS)
def test_a_method_of_a_proxy_needs_its_column_first(scored: Dataset, method: Method) -> None:
    with pytest.raises(DataError, match=rf"{PROXY_COLUMNS[method]}.*with_likelihoods"):
        rbic_hf.select(scored, 0.2, method=method)


@pytest.mark.parametrize(("method", "sign"), [("ifd", 1), ("hes", -1), ("gain", 1)])
def test_methods_of_a_proxy_take_the_highest(scored, reader: SlowReader, method, sign) -> None:
    told = rbic_hf.with_likelihoods(scored)
    kept = rbic_hf.select(told, 0.2, unit="rows", method=method)
    lengths = [len(text) for text in clean_part(scored)["response"]]
    known = [n for n in lengths if method != "gain" or n % 5]
    best = sorted(known, key=lambda n: sign * n)[: kept.num_rows]
    assert sorted(len(text) for text in kept["response"]) == sorted(best)
    assert not set(PROXY_COLUMNS.values()) & set(kept.column_names)
    assert told.column_names == [
        *scored.column_names, "rbic_answer_gain", "rbic_entropy", "rbic_ifd",
    ]  # fmt: skip
    for name in ("rbic_entropy", "rbic_ifd"):
        assert [v is None for v in told[name]] == [s != "clean" for s in told["rbic_status"]]
    assert told["rbic_rank"] == scored["rbic_rank"]


def test_the_cost_of_reading_is_said_before_and_nulls_after(scored, reader, caplog) -> None:
    told = rbic_hf.with_likelihoods(scored)
    first = next(m for m in caplog.messages if m.startswith("reading "))
    asked = clean_part(scored).num_rows
    assert first.startswith(f"reading {asked} responses with length: 0 read before, {asked} to ")
    tokens = int(first.split("about ")[1].split()[0].replace(",", ""))
    assert sum(clean_part(scored)["rbic_tokens"]) < tokens < 2 * sum(scored["rbic_tokens"])
    nulls = sum(v is None for v in clean_part(told)["rbic_answer_gain"])
    assert nulls and any(
        m.startswith(f"{nulls} of {asked} responses have") for m in caplog.messages
    )
    caplog.clear()
    rbic_hf.with_likelihoods(scored)
    assert not [m for m in caplog.messages if m.startswith("reading ")]


def test_the_minutes_are_said_once_after_some_batches(monkeypatch, caplog) -> None:
    now = [0.0]
    monkeypatch.setattr(likelihood_columns.time, "monotonic", lambda: now[0])
    pace = likelihood_columns._Pace([Passage("", "a" * 10, 0, None)] * 100)
    for second in (60.0, 62.0, 64.0, 66.0):  # the first batch holds the loading of the model
        now[0] = second
        pace.count(10, 100)
    # 20 rows in 4 s after the first 10: 70 more in 14 s
    assert caplog.messages == ["measured on 30 of 100 responses: about 14 s left"]


def test_responses_are_read_once_per_content(scored: Dataset, reader: SlowReader) -> None:
    rbic_hf.with_likelihoods(scored)
    asked = reader.num_asked
    assert asked == len(set(clean_part(scored)["rbic_key"]))
    rbic_hf.with_likelihoods(scored.shuffle(seed=0))
    assert reader.num_asked == asked


def test_rows_that_read_otherwise_than_when_they_were_scored_are_refused(
    scored: Dataset, reader: SlowReader
) -> None:
    edited = scored.map(lambda row: {"response": row["response"] + " more"})
    with pytest.raises(DataError, match="score them again"):
        rbic_hf.with_likelihoods(edited)
    assert reader.num_asked == 0


@pytest.mark.parametrize("method", PROXY_COLUMNS)
def test_refine_without_a_proxy_refuses_its_methods_before_any_model_is_asked(
    dataset: Dataset, method: Method
) -> None:
    with pytest.raises(ConfigError, match="with_likelihoods"):
        rbic_hf.refine(dataset, method=method, encoder=WordEncoder())


@pytest.mark.parametrize("seed", ["a", -1, 0.5, True])
def test_what_is_no_seed_is_refused(scored: Dataset, seed) -> None:
    with pytest.raises(ConfigError, match="seed="):
        rbic_hf.select(scored, 0.2, method="random", seed=seed)


def test_all_orders_are_methods() -> None:
    assert {*ORDERS, "rbic", "twin"} == set(get_args(Method))
