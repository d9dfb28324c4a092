"""Pairs of worked solutions, English and Chinese, of one computation graph with known depth.

What a measure of reasoning finds must not depend on the language: both sides of a pair compute the
same graph, each in its own words, with its own remarks, doubts and repetitions.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from .errors import ConfigError
from .sample import DEPTH_WEIGHTS
from .sample_draft import draw_problem
from .sample_problems import Language, Problem, topics, words
from .sample_text import solution, thought


def make_pairs(num_pairs: int = 200, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return `num_pairs` pairs; equal arguments, equal pairs.

    Columns: english, chinese (solutions, a third of them after thinking aloud), true_depth (1 - 8).

    Raises:
        ConfigError: `num_pairs` is below 1.
    """
    if num_pairs < 1:
        raise ConfigError(f"num_pairs must be at least 1, got {num_pairs}")
    rng = Random(f"rbic pairs {seed}")
    depths, weights = list(DEPTH_WEIGHTS), list(DEPTH_WEIGHTS.values())
    pairs = []
    for _ in range(num_pairs):
        problem = draw_problem(
            rng,
            topic=rng.choice(sorted(topics())),
            language="en",
            depth=rng.choices(depths, weights)[0],
        )
        thinks = rng.random() < 1 / 3
        pairs.append(
            {
                "english": _told(rng, problem, "en", thinks=thinks),
                "chinese": _told(rng, problem, "zh", thinks=thinks),
                "true_depth": problem.depth,
            }
        )
    return pairs


def _told(rng: Random, problem: Problem, language: Language, *, thinks: bool) -> str:
    """Return the solution of a problem in a language, step by step in words that fit any story."""
    phrases = words(language)["solution"]["step"]
    steps = tuple(replace(step, text=rng.choice(phrases)) for step in problem.steps)
    told = replace(problem, language=language, steps=steps)
    text = solution(rng, told)
    return f"{thought(rng, told)}\n\n{text}" if thinks else text
