"""The embedded sample: word problems with worked solutions, planted defects and known truth.

Every number comes from an explicit computation graph (`sample_draft`), so `true_depth` and the
answer are known without reading any text. Verbosity is drawn apart from depth: a sample in which
long meant deep could not tell a measure of depth from a measure of length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

from .errors import ConfigError
from .sample_draft import draw_problem
from .sample_problems import Language, Problem, topics
from .sample_text import cut_thought, looping_solution, near_copies, solution, thought

CHINESE_SHARE = 0.3
THINK_SHARE = 1 / 3
DEPTH_WEIGHTS = {1: 15, 2: 20, 3: 18, 4: 15, 5: 12, 6: 9, 7: 6, 8: 5}
DEFECT_SHARES = {
    "exact_duplicate": 0.05,
    "near_duplicate": 0.05,
    "no_response": 0.02,
    "unfinished_thinking": 0.03,
    "repetition": 0.02,
    "wrong_answer": 0.03,
}
FRESH_ATTEMPTS = 8  # draws before a plot that was told already is told again


@dataclass(frozen=True)
class _Plan:
    """What kind of row comes at a place of the sample."""

    defect: str
    topic: str
    language: Language
    depth: int
    thinks: bool


def make_sample(num_rows: int = 400, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return `num_rows` rows of reasoning data with known truth; equal arguments, equal rows.

    Columns:
        question, response, answer: the row as a training set would have it. A third of the
            responses open with a `<think>` part. The answer is a positive integer as text.
        true_depth: operations on the longest chain to the answer, 1 to 8.
        true_steps: operations in all, at least `true_depth`.
        topic, language: one of ten topics; "en" or "zh" (about 30 %).
        defect: "" for a sound row (80 %), else "exact_duplicate", "near_duplicate" (both of an
            earlier sound row), "no_response", "unfinished_thinking", "repetition" or
            "wrong_answer" (the response contradicts `answer`). The first row is always sound.

    Raises:
        ConfigError: `num_rows` is below 1.
    """
    if num_rows < 1:
        raise ConfigError(f"num_rows must be at least 1, got {num_rows}")
    rng = Random(f"rbic sample {seed}")  # seeded by text: unlike an int, it keeps the sign
    sample = _Sample(rng)
    for plan in _plans(rng, num_rows):
        if plan.defect in ("exact_duplicate", "near_duplicate"):
            sample.add_copy(plan)
        else:
            sample.add_problem(plan)
    return sample.rows


def _plans(rng: Random, num_rows: int) -> list[_Plan]:
    """Return one plan per row; every share holds to within rounding."""
    defects = [d for d, share in DEFECT_SHARES.items() for _ in range(round(share * num_rows))]
    defects += [""] * (num_rows - len(defects))
    rng.shuffle(defects)
    first_sound = defects.index("")
    defects[0], defects[first_sound] = defects[first_sound], defects[0]
    languages = _deck(rng, {"zh": CHINESE_SHARE, "en": 1 - CHINESE_SHARE}, num_rows)
    return [
        _Plan(*parts)
        for parts in zip(
            defects,
            _deck(rng, dict.fromkeys(topics(), 1), num_rows),
            languages,
            _deck(rng, DEPTH_WEIGHTS, num_rows),
            _deck(rng, {True: THINK_SHARE, False: 1 - THINK_SHARE}, num_rows),
            strict=True,
        )
    ]


def _deck(rng: Random, weights: Mapping[Any, float], size: int) -> list[Any]:
    """Return `size` values in random order, each as often as its weight says."""
    total, reached = sum(weights.values()), 0.0
    deck: list[Any] = []
    for value, weight in weights.items():
        reached += weight
        deck += [value] * (round(size * reached / total) - len(deck))
    rng.shuffle(deck)
    return deck


class _Sample:
    """The rows so far, with what later rows must not tell again or may copy."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.rows: list[dict[str, Any]] = []
        self.plots: set[tuple[str, ...]] = set()
        self.questions: set[str] = set()
        self.originals: list[tuple[Problem, dict[str, Any]]] = []  # the sound ones
        self.copied: set[int] = set()

    def add_problem(self, plan: _Plan) -> None:
        """Add a new problem; its question is new, its plot too while new ones are found."""
        for attempt in count():
            problem = draw_problem(
                self.rng, topic=plan.topic, language=plan.language, depth=plan.depth
            )
            stale = problem.plot in self.plots and attempt < FRESH_ATTEMPTS
            if not stale and problem.question not in self.questions:
                break
        self.plots.add(problem.plot)
        self._add(_row(self.rng, problem, plan))
        if not plan.defect:
            self.originals.append((problem, self.rows[-1]))

    def add_copy(self, plan: _Plan) -> None:
        """Add a copy of an earlier sound row, word for word or with a trivial change."""
        fresh = [o for o in self.originals if id(o[0]) not in self.copied] or self.originals
        same_language = [o for o in fresh if o[0].language == plan.language]
        problem, row = self.rng.choice(same_language or fresh)
        self.copied.add(id(problem))
        changed = {"defect": plan.defect}
        if plan.defect == "near_duplicate":
            copies = near_copies(self.rng, problem)
            changed["question"] = next(c for c in copies if c not in self.questions)
            changed["response"] = _response(self.rng, problem, plan)
        self._add(row | changed)

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.questions.add(row["question"])


def _row(rng: Random, problem: Problem, plan: _Plan) -> dict[str, Any]:
    """Return the row of a new problem, with the planned defect in its response."""
    return {
        "question": problem.question,
        "response": _response(rng, problem, plan),
        "answer": str(problem.answer),
        "true_depth": problem.depth,
        "true_steps": len(problem.steps),
        "topic": problem.topic,
        "language": problem.language,
        "defect": plan.defect,
    }


def _response(rng: Random, problem: Problem, plan: _Plan) -> str:
    """Return the worked solution, or what the planned defect leaves of it."""
    if plan.defect == "no_response":
        return ""
    if plan.defect == "unfinished_thinking":
        return cut_thought(rng, problem)
    if plan.defect == "repetition":
        return looping_solution(rng, problem)
    if plan.defect == "wrong_answer":
        problem = _with_slip(rng, problem)
    text = solution(rng, problem)
    return f"<think>\n{thought(rng, problem)}\n</think>\n\n{text}" if plan.thinks else text


def _with_slip(rng: Random, problem: Problem) -> Problem:
    """Return the problem with a slip in the last computation, so that its answer is another."""
    nodes, last = list(problem.nodes), problem.steps[-1].node
    slip = nodes[last].value + rng.choice((1, 2, 3, 5, 10, 20))
    nodes[last] = replace(nodes[last], value=slip)
    return replace(problem, nodes=tuple(nodes))
