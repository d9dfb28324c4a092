"""Complexities are the same in this process and in workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rbic_hf import complexity, steps
from rbic_hf.sample import make_sample
from rbic_hf.workers import WorkerPool

HOSTILE = ["", "\x00", "𝔄" * 3000, "=" * 5000, "所以 x = 3。" * 40, "\ud800"]


def readings(texts: list[str]) -> list[Any]:
    return [SimpleNamespace(response=text, own_answer="12") for text in texts]


@pytest.fixture
def texts() -> list[str]:
    return [str(row["response"]) for row in make_sample(150, seed=0)] + HOSTILE


def test_workers_measure_what_this_process_measures(texts, monkeypatch) -> None:
    here = complexity.complexities(readings(texts))
    monkeypatch.setattr(complexity, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(complexity, "CHUNK", 16)
    monkeypatch.setattr(complexity, "CHUNKS_PER_ROUND", 3)
    monkeypatch.setattr(complexity, "_num_cpus", lambda: 2)
    assert complexity.complexities(readings(texts)) == here
    assert here == [steps.measure(text, answer="12") for text in texts]
    assert max(found.depth for found in here) > 3


def test_rows_of_a_worker_that_was_killed_are_measured_here(texts, monkeypatch) -> None:
    monkeypatch.setattr(complexity, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(complexity, "_num_cpus", lambda: 2)
    monkeypatch.setattr(WorkerPool, "map", lambda self, items, **_: [None] * len(items))
    found = complexity.complexities(readings(texts))
    assert found == [steps.measure(text, answer="12") for text in texts]


def test_no_rows_have_no_complexities() -> None:
    assert complexity.complexities([]) == []
