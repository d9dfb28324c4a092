"""What must not change the depth of real reasoning."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf.steps import measure

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "pools"
POOLS: dict[str, tuple[int, Callable[[dict[str, Any]], str]]] = {
    "gsm8k_train": (200, lambda row: row["answer"]),
    "math_boxed": (150, lambda row: row["solution"]),
    "math_alpaca": (80, lambda row: row["output"]),
    "zh_gaokao_alpaca": (120, lambda row: row["output"]),
    "r1_think_messages": (80, lambda row: row["messages"][-1]["content"]),
}
CHECKS = (
    "Let me verify this.",
    "Wait, let me double-check everything from the beginning.",
    "Let's check the work again:",
    "To verify, we go through it again.",
    "让我再验算一遍。",
    "Let me start over.",
)
FILLERS = (
    "Let me keep going.",
    "This is clear.",
    "Okay, that is done.",
    "So let us move on.",
    "Everything is fine so far.",
    "Now we proceed to the following step.",
    "好的，我们继续。",
)
CONCLUSIONS = ("So", "Therefore", "Thus", "Hence", "Consequently", "Then", "As a result")
CHINESE_CONCLUSIONS = ("所以", "因此", "因而", "从而", "于是", "那么")


def texts(pool: str) -> list[str]:
    path = DATA / f"{pool}.jsonl"
    if not path.exists():
        pytest.skip(f"needs ../shared/data/pools/{pool}.jsonl")
    number, read = POOLS[pool]
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [read(row) for row in random.Random(0).sample(rows, number)]


def conclude_otherwise(text: str) -> str:
    """Exchange the conclusions that open a sentence."""
    rng = random.Random(0)
    text = re.sub(
        rf"(?m)(^|[.?!] )({'|'.join(CONCLUSIONS)})(?=[ ,])",
        lambda found: found[1] + rng.choice(CONCLUSIONS),
        text,
    )
    # not before 选: 故选 is the phrase of an answer
    return re.sub(
        rf"(?m)(^|[。；！？])({'|'.join(CHINESE_CONCLUSIONS)})(?!选)",
        lambda found: found[1] + rng.choice(CHINESE_CONCLUSIONS),
        text,
    )


def rename(text: str) -> str:
    """Exchange the variables in a circle; A to H may be options of a multiple choice."""
    letters = sorted(set(re.findall(r"(?<![A-Za-z\\])[b-hj-wyzJ-WYZ](?![A-Za-z'’-])", text)))
    others = dict(zip(letters, letters[1:] + letters[:1], strict=True))
    return re.sub(
        r"(?<![A-Za-z\\'’])[b-hj-wyzJ-WYZ](?![A-Za-z'’-])",
        lambda found: others.get(found[0], found[0]),
        text,
    )


NUMBER = r"(?<![\d.,/_^{\\A-Za-z])"
FORMATS: dict[str, Callable[[str], str]] = {
    "thousands": lambda text: re.sub(
        NUMBER + r"([1-9]\d{3,8})(?![\d.,/}])", lambda found: f"{int(found[1]):,}", text
    ),
    "without thousands": lambda text: re.sub(
        r"(?<![\d,.])(\d{1,3}(?:,\d{3})+)(?![\d,])",
        lambda found: found[1].replace(",", ""),
        text,
    ),
    "a zero more": lambda text: re.sub(NUMBER + r"(\d+\.\d{1,3})(?![\d.,])", r"\g<1>0", text),
    "full width": lambda text: re.sub(
        NUMBER + r"(\d+)(?![\d.,/}A-Za-z%])",
        lambda found: "".join(chr(ord(char) + 0xFEE0) for char in found[1]),
        text,
    ),
    "percent as a decimal": lambda text: re.sub(
        NUMBER + r"(\d{2})\s?\\?%", lambda found: str(int(found[1]) / 100), text
    ),
    "renamed variables": rename,
    "other conclusions": conclude_otherwise,
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", FORMATS)
def test_another_form_of_the_same_text_has_the_same_depth(name: str, pool: str) -> None:
    for text in texts(pool):
        changed = FORMATS[name](text)
        if changed != text:
            assert measure(changed).depth == measure(text).depth, text


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("check", CHECKS)
def test_a_text_read_again_after_a_check_has_the_same_depth(check: str, pool: str) -> None:
    for text in texts(pool)[::4]:
        assert measure(f"{text}\n{check}\n{text}").depth == measure(text).depth, text


@pytest.mark.parametrize("pool", POOLS)
def test_filler_after_each_line_changes_the_mean_depth_by_less_than_five_percent(pool: str) -> None:
    rng = random.Random(0)
    once = twice = 0
    for text in texts(pool):
        lines = [line for line in text.split("\n") if line.strip()]
        once += measure(text).depth
        twice += measure("\n".join(f"{line}\n{rng.choice(FILLERS)}" for line in lines)).depth
    assert abs(twice - once) < 0.05 * once


STEPS = st.lists(st.tuples(st.integers(3, 99), st.integers(3, 99)), min_size=2, max_size=7)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_independent_computations_can_come_in_any_order(
    steps: list[tuple[int, int]], rng: random.Random
) -> None:
    lines = [f"Part {chr(65 + i)} takes {a} * {b} = {a * b}." for i, (a, b) in enumerate(steps)]
    total = " + ".join(str(a * b) for a, b in steps)
    last = f"In all that is {total} = {sum(a * b for a, b in steps)}."
    # a product that is also a factor of another step would link the two
    if {a * b for a, b in steps} & {number for step in steps for number in step}:
        return
    shuffled = rng.sample(lines, len(lines))
    assert measure("\n".join([*shuffled, last])).depth == measure("\n".join([*lines, last])).depth


@settings(max_examples=100, deadline=None)
@given(STEPS, st.sampled_from(CHECKS), st.sampled_from(FILLERS))
def test_generated_chains_keep_their_depth(
    steps: list[tuple[int, int]], check: str, filler: str
) -> None:
    lines = []
    value = 7
    for a, _ in steps:
        lines.append(f"Then {value} + {1000 + a} = {value + 1000 + a}.")
        value += 1000 + a
    text = "\n".join(lines)
    assert measure(text).depth == len(lines)
    assert measure(f"{text}\n{check}\n{text}").depth == len(lines)
    assert measure("\n".join(f"{line}\n{filler}" for line in lines)).depth == len(lines)
