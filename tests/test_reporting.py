"""The report's numbers on six rows that can be checked by hand."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset

import rbic_hf
from rbic_hf.faults import Fault
from rbic_hf.reporting import Share


@pytest.fixture
def scored() -> Dataset:
    unit = [[1.0, 0.0], [0.0, 1.0]]
    return Dataset.from_dict(
        {
            "q": list("abcdef"),
            "rbic_status": ["clean", "clean", "clean", "clean", "duplicate", "too_long"],
            "rbic_rank": [0, 1, 2, 3, None, None],
            "rbic_key": ["a", "b", "c", "d", "a", "f"],
            "rbic_embedding": [unit[0], unit[1], unit[0], unit[1], None, None],
            "rbic_embedding_cut": [True, False, False, False, None, None],
            "rbic_domain": [0, 1, 0, 1, None, None],
            "rbic_domain_label": ["red", "blue", "red", "blue", None, None],
            "rbic_duplicate_group": [0, 1, 2, 3, 0, None],
            "rbic_rollouts": [4, 0, 2, 0, None, None],
            "rbic_correct": [4, 0, 0, 0, None, None],
            "rbic_unknown": [0, 0, 2, 0, None, None],
            "rbic_tier": ["easy", "hard", "hard", "hard", None, None],
            "rbic_depth": [2, 4, 6, 8, None, None],
            "rbic_contribution": [0.9, 0.7, 0.5, 0.3, None, None],
            "rbic_tokens": [10, 20, 30, 40, 10, 999],
            "rbic_cost": [10.0, 20.0, 30.0, 40.0, 10.0, 999.0],
        }
    )


def test_numbers_agree_with_a_count_by_hand(scored: Dataset) -> None:
    kept = rbic_hf.select(scored, 0.3)  # 30 of 100: the first two in rank
    report = rbic_hf.report(scored, kept)
    assert kept["q"] == ["a", "b"]
    assert report.num_rows == 6
    assert report.set_aside == {"duplicate": 1, "too_long": 1}
    assert report.rows == Share(4, 2)
    assert report.tokens == Share(100, 30)
    assert report.cost.ratio == pytest.approx(0.3)
    assert report.tiers == {
        "easy": Share(pytest.approx(0.1), pytest.approx(1 / 3)),
        "hard": Share(pytest.approx(0.9), pytest.approx(2 / 3)),
    }
    assert report.domains["blue"] == Share(pytest.approx(0.6), pytest.approx(2 / 3))
    assert list(report.domains) == ["blue", "red"]
    assert report.num_measured == Share(2, 1)
    assert (report.num_rollouts, report.num_unknown_rollouts) == (6, 2)
    assert report.contribution.pool == pytest.approx(0.6)
    assert report.contribution.kept == pytest.approx(0.8)
    assert report.depth.kept == pytest.approx(3)
    assert report.coverage.kept == pytest.approx(1)
    assert report.cut_share == 0.25


def test_faults_are_counted_per_thousand_before_and_after(scored: Dataset) -> None:
    wrong = scored.add_column(  # the fourth of the clean rows is wrong, and so is the one beyond it
        "rbic_answer", ["verified", "contradicted", "unverifiable", "contradicted", None, None]
    )
    kept = rbic_hf.select(wrong, 0.3)  # the first two rows
    faults = rbic_hf.report(wrong, kept).hygiene
    assert faults == {
        "duplicate": Fault(1, 0, pytest.approx(1000 / 6), 0),
        "too_long": Fault(1, 0, pytest.approx(1000 / 6), 0),
        "near_duplicate": Fault(0, 0, 0, 0),
        "contradicted": Fault(2, 1, 500, 500),
    }
    compared = wrong.add_column("rbic_contaminated_by", [None] * 6)
    faults = rbic_hf.report(compared, kept).hygiene
    assert faults["contaminated"] == Fault(0, 0, 0, 0)
    groups = wrong.remove_columns("rbic_duplicate_group").add_column(
        "rbic_duplicate_group", [0, 0, 0, 3, 0, None]
    )
    near = rbic_hf.report(groups, kept).hygiene["near_duplicate"]
    assert (near.rows, near.kept, near.per_1000, near.kept_per_1000) == (2, 1, 500, 500)
    line = next(x for x in str(rbic_hf.report(wrong, kept)).splitlines() if "contradicted" in x)
    assert line.split() == ["contradicted", "2", "500.0", "500.0"]


def test_coverage_falls_when_a_direction_is_missing(scored: Dataset) -> None:
    report = rbic_hf.report(scored, scored.select([0]))
    assert report.coverage.kept == pytest.approx(0.5)


def test_the_text_shows_all_three_shares_and_what_was_predicted(scored: Dataset) -> None:
    text = str(rbic_hf.report(scored, rbic_hf.select(scored, 0.3)))
    assert "kept 2 of 4 clean rows (6 rows, 2 set aside)" in text
    assert "set aside: 1 duplicate, 1 too_long" in text
    for name, share in (("rows", "50.00%"), ("tokens", "30.00%"), ("cost", "30.00%")):
        assert any(line.split()[:1] == [name] and share in line for line in text.splitlines())
    assert (
        "6 rollouts graded (4 right), 2 unknown; known for 2 rows (1 kept); predicted for" in text
    )
    assert "domains covered: 2 of 2" in text
    assert "25.0% of the questions" in text


def test_a_report_is_json_able(scored: Dataset) -> None:
    report = rbic_hf.report(scored, rbic_hf.select(scored, 0.3))
    assert json.loads(json.dumps(report.as_dict()))["rows"] == {"pool": 4, "kept": 2}


def test_calibration_is_shown_for_enough_measured_rows_and_not_for_given_ones(
    scored: Dataset,
) -> None:
    def many(num_rows: int, outcome: str) -> rbic_hf.Report:
        whole = Dataset.from_dict({
            "rbic_status": ["clean"] * num_rows, "rbic_rank": list(range(num_rows)),
            "rbic_key": [str(i) for i in range(num_rows)], "rbic_domain": [0] * num_rows,
            "rbic_domain_label": ["all"] * num_rows, "rbic_contribution": [0.5] * num_rows,
            "rbic_duplicate_group": list(range(num_rows)), "rbic_tokens": [10] * num_rows,
            "rbic_cost": [10.0] * num_rows, "rbic_rollouts": [4] * num_rows,
            "rbic_correct": [4 * (i % 2) for i in range(num_rows)],
            "rbic_unknown": [0] * num_rows, "rbic_prior": [0.5] * num_rows,
            "rbic_tier": [("hard", "easy")[i % 2] for i in range(num_rows)],
            "rbic_probe": [outcome] * num_rows,
        })  # fmt: skip
        return rbic_hf.report(whole, rbic_hf.select(whole, 0.5))

    found = many(20, "measured")
    assert found.calibration["predicted"].brier == pytest.approx(0.25)
    assert found.calibration["share"].brier == 0
    assert "share of half the rollouts" in str(found) and "compare by Brier" in str(found)
    assert many(19, "measured").calibration == {}
    given = many(20, "given")
    assert (given.calibration, given.num_given) == ({}, 20)
    assert "80 rollouts by columns of the dataset (40 right); known for 20 rows" in str(given)
