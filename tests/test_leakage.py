"""Rows that are a benchmark's, on the whole road: set aside, named, and gone after another pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, WordEncoder
from datasets import Dataset, load_from_disk

import rbic_hf
from rbic_hf import cli, engines
from rbic_hf.errors import DataError
from rbic_hf.refinery import score_with_provenance

UNSEEN = "Which of the seven bridges of the old town did Leonhard cross on his way to the market?"


def planted(rows: list[dict[str, Any]]) -> tuple[Dataset, list[str]]:
    """Return the sample with copies of five of its questions, and these as a benchmark."""
    clean = [r for r in rows if not r["defect"] and len(r["question"].split()) >= 20][:5]
    benchmark = [UNSEEN, *(row["question"] for row in clean)]
    changed = [
        {**clean[0], "question": clean[0]["question"].upper().replace(",", " ;")},
        {**clean[1], "question": "Think first. " + clean[1]["question"] + " Show your work."},
    ]
    return Dataset.from_list([*rows, *changed]), benchmark


def test_planted_questions_are_set_aside_and_named(
    rows: list[dict[str, Any]], encoder: WordEncoder
) -> None:
    dataset, benchmark = planted(rows)
    scored, made = score_with_provenance(
        dataset, config=SMALL, encoder=encoder, probe=False, benchmarks=[benchmark]
    )
    by = scored["rbic_contaminated_by"]
    for row, (question, status) in enumerate(
        zip(scored["question"], scored["rbic_status"], strict=True)
    ):
        assert (by[row] is not None) == (status == "contaminated")
        if question in benchmark:
            assert status in ("contaminated", "duplicate")
            if by[row]:
                assert by[row] == f"copy questions-1:{benchmark.index(question)}"
    assert by[-2] == "copy questions-1:1" and by[-1] == "13-gram questions-1:2"
    assert made.benchmarks == {"questions-1": 6}
    contaminated = [i for i, found in enumerate(by) if found]
    for column in ("rbic_domain", "rbic_rank", "rbic_embedding", "rbic_contribution"):
        assert all(scored[column][i] is None for i in contaminated)
    # nothing is left that the same benchmark would find, and the column is the scored one's
    refined = rbic_hf.select(scored, 1.0)
    assert "rbic_contaminated_by" not in refined.column_names
    again = rbic_hf.score(
        refined, config=SMALL, encoder=encoder, probe=False, benchmarks=[benchmark]
    )
    assert again["rbic_contaminated_by"] == [None] * refined.num_rows


def test_what_shares_no_words_in_a_row_is_found_by_cosine(
    rows: list[dict[str, Any]], encoder: WordEncoder
) -> None:
    row = next(row for row in rows if len(row["question"].split()) >= 20)
    words = row["question"].split()
    swapped = " ".join(
        words[i ^ 1] if (i ^ 1) < len(words) else words[i] for i in range(len(words))
    )
    dataset = Dataset.from_list(rows)
    scored = rbic_hf.score(
        dataset, config=SMALL, encoder=encoder, probe=False, benchmarks=[[UNSEEN, "", swapped]]
    )
    found = scored["rbic_contaminated_by"][dataset["question"].index(row["question"])]
    assert found.startswith("cosine ") and found.endswith(" questions-1:2")
    assert float(found.split()[1]) >= 0.95


def test_without_benchmarks_there_is_no_such_column_and_one_without_hits_is_null(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    arguments: dict[str, Any] = {"config": SMALL, "encoder": encoder, "probe": False}
    plain = rbic_hf.score(dataset, **arguments)
    assert "rbic_contaminated_by" not in plain.column_names
    compared = rbic_hf.score(dataset, benchmarks=[[UNSEEN]], **arguments)
    assert compared["rbic_contaminated_by"] == [None] * dataset.num_rows
    assert compared.remove_columns("rbic_contaminated_by").to_list() == plain.to_list()


def test_a_dataset_that_is_all_benchmark_is_an_error(encoder: WordEncoder) -> None:
    only = Dataset.from_dict({"question": [UNSEEN], "answer": ["The fourth. #### 4"]})
    with pytest.raises(DataError, match="no usable row among 1: 1 contaminated"):
        rbic_hf.refine(only, encoder=encoder, probe=False, benchmarks=[[UNSEEN]])


def test_the_length_of_what_may_be_shared_is_a_setting(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    opening = " ".join(dataset["question"][0].split()[:8])
    scored = rbic_hf.score(
        dataset,
        config=rbic_hf.RbicConfig(num_neighbors=8, benchmark_ngram=6),
        encoder=encoder, probe=False, benchmarks=[[opening + " and then something else"]],
    )  # fmt: skip
    assert scored["rbic_contaminated_by"][0] == "6-gram questions-1:0"


def test_the_command_line_names_benchmarks_and_the_run_remembers_them(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(engines, "resolve_encoder", lambda _: WordEncoder())
    dataset, benchmark = planted(rows)
    source, test, other = (tmp_path / f"{name}.jsonl" for name in ("rows", "exam", "other"))
    dataset.to_json(str(source))
    Dataset.from_dict({"problem": benchmark}).to_json(str(test))
    Dataset.from_dict({"problem": [UNSEEN]}).to_json(str(other))
    out = tmp_path / "out"
    command = ["refine", str(source), "--no-probe", "--out", str(out)]
    assert cli.main([*command, "--benchmark", str(test), "--benchmark", str(other)]) == 0
    described = json.loads((out / "rbic.json").read_text())
    assert described["made"]["benchmarks"] == {"exam": 6, "other": 1}
    scored = load_from_disk(str(out / "scored"))
    num_found = scored["rbic_status"].count("contaminated")
    assert num_found >= 7
    assert described["report"]["set_aside"]["contaminated"] == num_found
    assert "exam (6 questions)" in (out / "README.md").read_text()
    assert cli.main([*command, "--benchmark", str(tmp_path / "gone.jsonl")]) == 1
    assert "gone.jsonl" in capsys.readouterr().err
