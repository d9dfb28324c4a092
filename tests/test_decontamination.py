"""Which questions are a benchmark's: tables of copies and of strangers, and a count of all runs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.decontamination import near_copies, shared_words, words

DUCKS = (
    "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes "
    "muffins for her friends every day with four. She sells the remainder at the farmers' market "
    "daily for $2 per fresh duck egg. How much does she make every day at the farmers' market?"
)
TAPS = (
    "一个水池有甲、乙两个水管，单开甲管需要6小时注满水池，"
    "单开乙管需要9小时注满水池，问两管同时打开几小时可以注满？"
)
SHORT = "Write a function to reverse the words of a sentence."  # 10 words
TINY = "What is 2+3?"
BENCHMARK = [DUCKS, TAPS, SHORT, TINY, ""]


@pytest.mark.parametrize(
    ("question", "place", "num_words"),
    [
        (DUCKS, 0, 0),
        (DUCKS.upper().replace("’", "'"), 0, 0),
        (DUCKS.replace(".", " ;").replace("16", "20"), 0, 13),  # other punctuation and number
        ("Solve step by step. " + DUCKS + " Put it into \\boxed{}.", 0, 13),
        (" ".join(DUCKS.split()[8:21]), 0, 13),
        (" ".join(DUCKS.split()[8:20]), -1, 0),  # twelve words are not thirteen
        ("\\textbf{" + DUCKS[:80] + "}", 0, 13),
        (TAPS, 1, 0),
        (TAPS.replace("，", ", ").replace("6", "８"), 1, 21),  # half-width commas, another number
        ("应用题：" + TAPS + "请写出过程。", 1, 21),
        ("有一个水池有甲、乙两个水管，单开甲管要很久", -1, 0),  # 17 characters are some ten words
        (SHORT, 2, 0),
        (f"In Python: {SHORT.lower()} Use no loop.", 2, 10),
        ("Write a function to reverse the words of a text.", -1, 0),
        (TINY, 3, 0),
        ("what is $2 + 3$", 3, 0),
        ("What is 2-3?", -1, 0),  # an operator is no punctuation
        ("What is 2+3? And what is 4+5?", -1, 0),  # so few words are the same text, or nothing
        ("", -1, 0),
        ("???", -1, 0),
        ("How many eggs does a duck of Janet's lay in a week if it lays two a day?", -1, 0),
    ],
)
def test_a_question_is_a_benchmarks_or_not(question: str, place: int, num_words: int) -> None:
    found = shared_words([question], BENCHMARK)
    assert (found.which.tolist(), found.num_words.tolist()) == ([place], [num_words])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t stop: it's 1,200.50!", ["don", "t", "stop", "it", "s", "1200", "50"]),
        ("$\\frac{1}{2} \\text{ cm}$", ["1", "2", "cm"]),
        ("\\begin{tabular}{c|c|c} 7 \\end{tabular}", ["7"]),
        ("See [asy]draw((0,0)--(1,1));[/asy] the line", ["see", "the", "line"]),
        ("unclosed [asy] here", ["unclosed", "here"]),
        ("x_1 and １２", ["x", "1", "and", "12"]),
        ("小明有3个", ["小", "明", "有", "3", "个"]),
        ("", []),
    ],
)
def test_words_are_compared_without_what_is_not_said(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_what_many_questions_of_a_benchmark_share_shows_nothing_by_itself() -> None:
    order = "please reason step by step and put your final answer within the box below here"
    names = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "eps",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "mu",
    ]
    eleven = [f"What do you know of {name} and of nothing else? {order}" for name in names]
    stranger = f"How long is the river in Egypt? {order}"
    assert shared_words([stranger], eleven).which.tolist() == [-1]
    assert shared_words([stranger], eleven[:10]).which.tolist() == [0]
    assert shared_words(eleven, eleven).which.tolist() == list(range(11))
    # a question that is nothing but the order is still found whole
    assert shared_words([f"So: {order} now"], [*eleven, order]).which.tolist() == [11]


def test_a_short_question_beside_a_drawing_is_only_found_with_its_drawing() -> None:
    drawn = "What is the value of x in the diagram? [asy]draw((0,0)--(3,4));[/asy]"
    other = "What is the value of x in the diagram? [asy]draw((0,0)--(5,6));[/asy]"
    assert shared_words([drawn, other], [drawn]).which.tolist() == [0, -1]


TOKENS = st.lists(st.sampled_from("abcd"), max_size=14)


@given(TOKENS, st.lists(TOKENS, max_size=4))
def test_shared_runs_agree_with_a_comparison_of_all_places(
    question: list[str], benchmark: list[list[str]]
) -> None:
    def runs(tokens: list[str], length: int) -> set[tuple[str, ...]]:
        return {tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)}

    matching = {
        place
        for place, other in enumerate(benchmark)
        if other and (question == other or runs(question, 5) & runs(other, 5))
    }
    found = shared_words([" ".join(question)], [" ".join(b) for b in benchmark], ngram=5)
    assert (int(found.which[0]) in matching) if matching else found.which[0] == -1


def test_copies_by_cosine_are_those_at_or_above_the_threshold() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.standard_normal((2, 60, 6)).astype(np.float32)
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    which, cosines = near_copies(ours, theirs, threshold=0.8)
    products = ours @ theirs.T
    assert 0 < (which >= 0).sum() < 60
    np.testing.assert_allclose(cosines, products.max(1), atol=1e-6)
    expected = np.where(products.max(1) >= 0.8, products.argmax(1), -1)
    assert which.tolist() == expected.tolist()
    same, cosine = near_copies(theirs, theirs, threshold=1.0 - 1e-6)
    assert same.tolist() == list(range(60)) and cosine.max() <= 1
    assert near_copies(ours, theirs[:0], threshold=0.8)[0].tolist() == [-1] * 60
    assert near_copies(ours[:0], theirs, threshold=0.8)[0].tolist() == []


HUGE = [
    "a ",
    "\\begin{",
    "\\begin{a}{",
    "[asy]",
    "[asy][/asy]",
    "1,",
    "1,000",
    "中",
    "\\",
    "{",
    "x" * 50,
]


@pytest.mark.parametrize("unit", HUGE, ids=ascii)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        started = time.process_time()
        shared_words([text], [text[:-1] + " z", DUCKS, SHORT])
        return time.process_time() - started

    seconds(20_000)
    small = min(seconds(100_000) for _ in range(3))
    assert seconds(800_000) < 40 * small + 0.5  # eight times the text; a square would be 64
