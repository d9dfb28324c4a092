"""Labels of domains: the words that set them apart, in any script, from any text."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf.domain_labels import WORDS_PER_LABEL, label_domains


def labels_of(*domains: list[str]) -> list[str]:
    codes = np.repeat(np.arange(len(domains)), [len(d) for d in domains]).astype(np.int32)
    return label_domains([question for d in domains for question in d], codes)


def test_a_label_holds_the_words_that_set_a_domain_apart() -> None:
    triangles = [f"In a triangle number {i}, find the angle of the circle." for i in range(5)]
    trains = [f"A train is {i} minutes late at the station of a circle." for i in range(5)]
    first, second = labels_of(triangles, trains)
    assert set(first.split(", ")[:2]) == {"triangle", "angle"}
    assert set(second.split(", ")) < {"train", "minutes", "late", "station"}


def test_a_word_of_all_domains_gives_way_to_a_word_of_one() -> None:
    first, second = labels_of(["apple basket"] * 4, ["apple ladder"] * 4)
    assert first.split(", ")[0] == "basket"
    assert second.split(", ")[0] == "ladder"


def test_chinese_domains_are_named_by_pairs_of_characters_that_do_not_overlap() -> None:
    first, second = labels_of(["三角函数", "等腰三角", "直角三角"], ["火车速度公里"] * 3)
    for label in (first, second):
        words = label.split(", ")
        assert 1 <= len(words) <= WORDS_PER_LABEL
        assert all(len(word) == 2 for word in words)
        assert len(set("".join(words))) == 2 * len(words)
    assert first.split(", ")[0] == "三角"
    assert set(second.replace(", ", "")) <= set("火车速度公里")


def test_words_of_one_stem_are_named_once() -> None:
    (label,) = labels_of(["triangle triangles circle"] * 3)
    assert sorted(label.split(", ")) in (["circle", "triangle"], ["circle", "triangles"])


def test_formulas_numbers_and_stop_words_are_no_labels() -> None:
    (label,) = labels_of([r"Find the value of $\frac{abc}{xyz}$ and \sqrt 12345 how many polygon"])
    assert label == "polygon"


def test_domains_of_equal_words_get_different_labels() -> None:
    labels = labels_of(["red ball"], ["red ball"], ["red ball"])
    assert len(set(labels)) == 3
    assert all("ball" in label for label in labels)


HOSTILE = [
    "", " ", "\x00\x00", "\ud800 lone", "(" * 1_000_000, "[asy]" * 200_000, "$" * 1_000_001,
    "\\(" * 500_000, "<script>alert(1)</script> | a | b |\n# head", "9" * 100_000, "的" * 100_000,
    "\u202eevil\u202c", "{{ 7 * 7 }} {% raw %}",
]  # fmt: skip


@pytest.mark.parametrize("question", HOSTILE, ids=[ascii(q[:12]) for q in HOSTILE])
def test_a_hostile_question_gets_a_plain_label(question: str) -> None:
    first, second = labels_of([question], ["the triangle"])
    assert first and first != second
    assert re.fullmatch(r"[A-Za-z\u4e00-\u9fff0-9, ()]+", first)


def test_a_domain_without_words_is_named_by_its_number() -> None:
    assert labels_of(["1 + 1"], ["2 + 2"], ["пять"]) == ["domain 0", "domain 1", "domain 2"]


def test_no_domains_have_no_labels() -> None:
    assert label_domains([], np.zeros(0, np.int32)) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 4)), min_size=1, max_size=20))
def test_every_domain_has_a_label_of_its_own(rows: list[tuple[str, int]]) -> None:
    codes = np.unique([code for _, code in rows], return_inverse=True)[1].astype(np.int32)
    labels = label_domains([text for text, _ in rows], codes)
    assert len(labels) == codes.max() + 1
    assert len(set(labels)) == len(labels)
    assert all(labels)
    assert labels == label_domains([text for text, _ in rows], codes)
