"""The words around a sample problem: worked solutions, thinking, and planted defects.

A style (signs, layout, amount of remarks) is drawn without looking at the problem's depth, so that
short texts can be deep and long ones shallow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from .sample_problems import Problem, equation, words

SIGNS = (("×", "÷"), ("*", "/"))
# A 20-gram of words, of characters, or of whole lines is then seen over 20 times.
MIN_LOOPS, MAX_LOOPS = 48, 64
_SENTENCE_SPACE = {"en": " ", "zh": ""}
# Each changes spacing, punctuation or one polite word, and nothing that is asked.
_NEAR_EDITS = {
    "en": ((". ", ".  "), ("?", " ?"), ("?", "??"), ("How many", "Please, how many")),
    "zh": (("。", "。 "), ("？", "?"), ("？", "？？"), ("，", ", ")),
}


def solution(rng: Random, problem: Problem) -> str:
    """Return a worked solution that ends in a sentence with the final answer."""
    phrases = words(problem.language)["solution"]
    terse = rng.random() < 0.25
    lines = _computation(rng, problem, terse=terse)
    if not terse:
        lines = _with_remarks(rng, problem, lines)
    lines.append(rng.choice(phrases["final"]).format(x=problem.answer))
    # Bare equations have no full stop, so they need lines of their own.
    return ("\n" if terse else _separator(rng, problem)).join(lines)


def thought(rng: Random, problem: Problem) -> str:
    """Return an informal first pass over the problem, as models write it before a solution."""
    phrases = words(problem.language)["solution"]
    lines = [rng.choice(phrases["muse"])]
    doubts = rng.choice((0.0, 0.3, 0.7))
    for step, line in zip(problem.steps, _computation(rng, problem, terse=False), strict=True):
        lines += [lead for lead in [rng.choice(phrases["lead"])] if lead]
        lines.append(line)
        if rng.random() < doubts:
            lines.append(_phrase(rng, problem, "doubt", step.node))
    lines.append(rng.choice(phrases["settle"]).format(x=problem.answer))
    return _SENTENCE_SPACE[problem.language].join(lines)


def cut_thought(rng: Random, problem: Problem) -> str:
    """Return a response that opens a think part and breaks off inside it."""
    text = thought(rng, problem)
    return "<think>\n" + text[: int(len(text) * rng.uniform(0.5, 0.8))].rstrip()


def looping_solution(rng: Random, problem: Problem) -> str:
    """Return a solution that gets stuck on one sentence; half of them find the end after it."""
    phrases = words(problem.language)["solution"]
    lines = _computation(rng, problem, terse=False)
    lines += [rng.choice(phrases["loop"])] * rng.randint(MIN_LOOPS, MAX_LOOPS)
    if rng.random() < 0.5:
        lines.append(rng.choice(phrases["final"]).format(x=problem.answer))
    return "\n".join(lines)


def near_copies(rng: Random, problem: Problem) -> Iterator[str]:
    """Yield the question in trivially changed wordings of the same meaning, in random order."""
    edits = _NEAR_EDITS[problem.language]
    copies = [problem.question.replace(old, new) for old, new in edits if old in problem.question]
    if problem.language == "zh":
        told, stop, asked = problem.question.rpartition("。")
        copies.append(f"{told}{stop}请问{asked}")
    rng.shuffle(copies)
    # Never exhausted: a small sample may copy the same question many times.
    yield from copies
    yield from (problem.question + "!" * n for n in count(1))


def _separator(rng: Random, problem: Problem) -> str:
    return rng.choice(("\n", _SENTENCE_SPACE[problem.language]))


def _computation(rng: Random, problem: Problem, *, terse: bool) -> list[str]:
    """Return one line per operation: the bare equation, or a sentence around it."""
    times, over = rng.choice(SIGNS)
    equations = [equation(problem.nodes, s.node, times=times, over=over) for s in problem.steps]
    if terse:
        return equations
    return [s.text.replace("{eq}", e) for s, e in zip(problem.steps, equations, strict=True)]


def _with_remarks(rng: Random, problem: Problem, lines: list[str]) -> list[str]:
    """Return the lines with remarks and repeated facts between them; depth plays no part."""
    wordy = list(lines)
    for _ in range(rng.choice((0, 0, 1, 3, 6, 9))):
        place = rng.randint(1, len(lines))
        kind = rng.choice(("remark", "restate"))
        remark = _phrase(rng, problem, kind, problem.steps[place - 1].node)
        if remark not in wordy:  # said twice, it would look like a loop
            wordy.insert(wordy.index(lines[place - 1]) + 1, remark)
    if rng.random() < 0.5:
        wordy.insert(0, rng.choice(words(problem.language)["solution"]["intro"]))
    return wordy


def _phrase(rng: Random, problem: Problem, kind: str, node: int) -> str:
    """Return a phrase of a kind, filled with the value or the equation of a node."""
    times, over = SIGNS[0]
    phrase: Any = rng.choice(words(problem.language)["solution"][kind])
    text: str = phrase.format(
        x=problem.nodes[node].value, eq=equation(problem.nodes, node, times=times, over=over)
    )
    return text
