"""Shared fixtures: a sample as a dataset, and small fakes with predictable numbers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault(
    "GOMP_SPINCOUNT", "10000"
)  # two workers share the cores; see benchmarks/LOG.md

import numpy as np
import pytest
from datasets import Dataset, disable_caching, disable_progress_bars

from rbic_hf import RbicConfig, Sample
from rbic_hf.protocols import Probed
from rbic_hf.sample import make_sample

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def quiet_datasets() -> None:
    disable_progress_bars()
    disable_caching()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBIC_CACHE", str(tmp_path / "rbic-cache"))


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("needs the shared data folder beside the repository")
    return DATA


@cache
def _direction(word: str, dim: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.md5(word.encode("utf-8", "replace")).digest()[:4], "big")
    scale = 1.0 if len(word) > 1 else 0.2
    return (scale * np.random.default_rng(seed).standard_normal(dim)).astype(np.float32)


class WordEncoder:
    """Hashes words to directions: texts that share words are close. Counts its calls."""

    def __init__(self, dim: int = 64, *, named: bool = True) -> None:
        self.dim = dim
        self.num_calls = 0
        if named:
            self.spec = {"encoder": "words", "dim": dim}

    def encode(self, sentences: list[str]) -> np.ndarray:
        self.num_calls += 1
        return np.stack([self._vector(text) for text in sentences])

    def _vector(self, text: str) -> np.ndarray:
        words = text.lower().split() + list(text)
        return np.sum([_direction(word, self.dim) for word in ["", *words]], axis=0)


class TableProber:
    """Answers right with a chance that depends on the question alone. Counts its prompts."""

    def __init__(self, answers: Mapping[str, str], *, skill: float = 0.5) -> None:
        self.answers = answers
        self.skill = skill
        self.num_prompts = 0
        self.spec: dict[str, Any] = {"prober": "table", "skill": skill}

    def probe(
        self, prompts: Sequence[list[dict[str, str]]], *, n: int, seeds: Sequence[int]
    ) -> Iterator[Probed]:
        for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            self.num_prompts += 1
            yield place, self._samples(prompt[-1]["content"], n, seed)

    def _samples(self, content: str, n: int, seed: int) -> list[Sample]:
        right = next((a for q, a in self.answers.items() if content.startswith(q)), "0")
        ease = self.skill if len(content) % 3 else min(1.0, 2 * self.skill)
        draws = [np.random.default_rng(seed + k).random() for k in range(n)]
        texts = [right if draw < ease else "-1" for draw in draws]
        return [Sample(f"so the answer is \\boxed{{{text}}}", "stop") for text in texts]


SMALL = RbicConfig(num_neighbors=8, num_rollouts=4, max_probe_rows=40)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    return make_sample(160, seed=3)


@pytest.fixture
def dataset(rows: list[dict[str, Any]]) -> Dataset:
    return Dataset.from_list(rows)


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def prober(rows: list[dict[str, Any]]) -> TableProber:
    return TableProber({row["question"]: row["answer"] for row in rows})
