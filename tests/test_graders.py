"""A grader of the user's own runs where it can do no harm."""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset

import rbic_hf
from rbic_hf import ConfigError, engines, graders
from rbic_hf.graders import Grader, OwnGrader, resolve_grader


def shouting(reference: str, answer: str) -> bool:
    return answer.upper().endswith(reference.upper())


def test_a_function_judges_pairs_and_missing_references_are_null() -> None:
    grader = OwnGrader(shouting)
    assert grader.grade(["yes", "no", None], ["so: YES", "yes", "yes"]) == [True, False, None]
    assert [grader.is_gradable(r) for r in ("anything at all", None)] == [True, False]


def test_closures_and_lambdas_are_carried() -> None:
    wanted = {"a": 1}
    assert OwnGrader(lambda r, a: wanted[r] == len(a)).grade(["a", "b"], ["x", "x"]) == [True, None]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(True, True), (0, False), (1.0, True), (None, None), ("yes", None), (0.5, None), ([], None)],
)
def test_what_is_no_verdict_is_null(verdict: Any, expected: bool | None) -> None:
    assert OwnGrader(lambda r, a: verdict).grade(["x"], ["y"]) == [expected]


def test_a_call_that_raises_hangs_or_dies_is_null_and_the_others_are_judged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graders, "TIMEOUT_S", 2.0)

    def grader(reference: str, answer: str) -> bool:
        import os

        if answer == "raise":
            raise ValueError(answer)
        if answer == "hang":
            while True:
                pass
        if answer == "power":
            return bool(2003 ** (2002**2001))
        if answer == "die":
            os._exit(3)
        return reference == answer

    answers = ["4", "raise", "hang", "power", "die", "5", "4"]
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        found = OwnGrader(grader).grade(["4"] * 7, answers)
    assert "your grader failed on 4 of 7 answers, which are unknown; the first: ValueError" in (
        caplog.text
    )
    assert found == [True, None, None, None, None, False, True]
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("grader", "message"),
    [("exact", "is not accepted"), ((line for line in "ab").__next__, "cannot be carried")],
)
def test_what_cannot_judge_is_refused_before_anything_is_loaded(
    dataset: Dataset, encoder: WordEncoder, grader: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rbic_hf.refine(dataset, encoder=encoder, grader=grader, probe=False)
    assert encoder.num_calls == 0


def test_nothing_named_is_the_projects_own_grader() -> None:
    assert type(resolve_grader(None)) is Grader
    assert resolve_grader(None).grade(["4"], ["\\boxed{4.0}"]) == [True]


def test_a_users_grader_judges_rollouts_and_the_rows_own_answers(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber
) -> None:
    scored = rbic_hf.score(
        dataset, config=SMALL, encoder=encoder, prober=prober, grader=lambda r, a: False
    ).to_pandas()
    clean = scored[scored.rbic_status == "clean"]
    assert clean.rbic_correct.sum() == 0 < clean.rbic_rollouts.sum()
    assert set(clean.rbic_answer) == {"contradicted"}


def test_workers_end_with_their_grader() -> None:
    grader = OwnGrader(shouting)
    grader.grade(["yes"], ["yes"])
    [worker] = grader._pool._idle
    del grader
    gc.collect()
    assert worker._process.poll() is not None


def test_a_scored_dataset_is_judged_again_by_a_grader_of_the_users(
    dataset: Dataset, encoder: WordEncoder, prober: TableProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"config": SMALL, "encoder": encoder}
    scored = rbic_hf.score(dataset, prober=prober, **arguments)
    monkeypatch.setattr(engines, "resolve_prober", lambda *_: prober)
    num_asked = prober.num_prompts
    again = rbic_hf.score(scored, grader=lambda r, a: True, **arguments)
    assert prober.num_prompts == num_asked  # the rollouts are still there: only grading is redone
    assert again["rbic_correct"] == again["rbic_rollouts"]
