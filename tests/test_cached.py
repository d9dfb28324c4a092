"""What is paid for once stays: remembered results, vectors and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import WordEncoder
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.cached import embeddings, missing_places, remembered, token_counts, verdicts
from rbic_hf.graders import Grader
from rbic_hf.store import Store
from rbic_hf.tokens import EstimatedTokens


class Lengths:
    """Computes the length of each key; fails when it meets `poison`."""

    def __init__(self, keys: list[str], poison: str | None = None) -> None:
        self.keys = keys
        self.poison = poison
        self.asked: list[list[str]] = []

    def __call__(self, places: list[int]) -> Mapping[str, pa.Array]:
        batch = [self.keys[i] for i in places]
        self.asked.append(batch)
        if self.poison in batch:
            raise RuntimeError("poison")
        return {"length": pa.array([len(key) for key in batch], pa.int64())}

    def run(self, store: Store, **options: Any) -> list[int]:
        options = {"batch_size": 2, "desc": "Test"} | options
        return remembered(store, self.keys, self, **options)["length"].to_pylist()


def test_results_come_in_the_order_of_the_keys_and_equal_keys_are_computed_once() -> None:
    compute = Lengths(["bb", "a", "bb", "cccc", "a", "bb"])
    assert compute.run(Store(None)) == [2, 1, 2, 4, 1, 2]
    assert compute.asked == [["bb", "a"], ["cccc"]]


def test_a_second_call_computes_nothing_and_a_longer_one_only_what_is_new(tmp_path: Path) -> None:
    Lengths(["a", "bb"]).run(Store(tmp_path))
    again = Lengths(["bb", "a", "bb"])
    assert again.run(Store(tmp_path)) == [2, 1, 2]
    assert again.asked == []
    more = Lengths(["ccc", "a", "dddd", "bb"])
    assert more.run(Store(tmp_path)) == [3, 1, 4, 2]
    assert more.asked == [["ccc", "dddd"]]


@pytest.mark.parametrize("folder", [True, False])
def test_what_was_computed_before_a_failure_is_kept(tmp_path: Path, folder: bool) -> None:
    store = Store(tmp_path if folder else None)
    keys = ["a", "bb", "ccc", "poison", "e"]
    with pytest.raises(RuntimeError, match="poison"):
        Lengths(keys, poison="poison").run(store)
    later = Lengths(keys)
    assert later.run(Store(tmp_path) if folder else store) == [1, 2, 3, 6, 1]
    assert later.asked == [["ccc", "poison"], ["e"]]


def test_the_longest_are_computed_first_and_batches_are_full() -> None:
    compute = Lengths(["a", "bb", "ccc", "dddd", "eeeee"])
    assert compute.run(Store(None), lengths=[1, 2, 3, 4, 5]) == [1, 2, 3, 4, 5]
    assert compute.asked == [["eeeee", "dddd"], ["ccc", "bb"], ["a"]]


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=30), st.integers(1, 9))
def test_every_distinct_key_is_computed_exactly_once(keys: list[str], batch_size: int) -> None:
    compute, store = Lengths(keys), Store(None)
    assert [keys[i] for i in missing_places(store, keys)] == list(dict.fromkeys(keys))
    assert compute.run(store, batch_size=batch_size) == [1] * len(keys)
    assert sorted(key for batch in compute.asked for key in batch) == sorted(set(keys))
    assert all(len(batch) <= batch_size for batch in compute.asked)
    assert missing_places(store, [*keys, "new", "new"]) == [len(keys)]


def test_a_progress_bar_appears_only_when_something_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Lengths(["a"]).run(Store(tmp_path), desc="Paying")
    assert "Paying" in capsys.readouterr().err
    Lengths(["a"]).run(Store(tmp_path), desc="Paying")
    assert capsys.readouterr().err == ""


def test_token_counts_follow_the_content_keys() -> None:
    store = Store(None)
    found = token_counts(EstimatedTokens(), store, ["k1", "k2"], ["one", "two"], ["1", "2 3"])
    assert found.tolist() == [2, 3]
    assert token_counts(EstimatedTokens(), store, ["k2"], ["changed"], [""]).tolist() == [3]
    assert token_counts(EstimatedTokens(), store, [], [], []).tolist() == []


def test_equal_questions_are_embedded_once_and_again_never(tmp_path: Path) -> None:
    questions = ["red ball", "seven trains", "red ball"]
    vectors, cut = embeddings(WordEncoder(), Store(tmp_path), questions)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert cut == [None, None, None]
    second = WordEncoder()
    again, _ = embeddings(second, Store(tmp_path), questions[::-1])
    np.testing.assert_array_equal(again, vectors[::-1])
    assert second.num_calls == 0


def test_vectors_do_not_depend_on_the_batches_they_came_in() -> None:
    questions = [f"question {i}" for i in range(7)]
    at_once, _ = embeddings(WordEncoder(), Store(None), questions)
    one_by_one, _ = embeddings(WordEncoder(), Store(None), questions, batch_size=1)
    np.testing.assert_array_equal(at_once, one_by_one)


def test_verdicts_are_true_false_or_unknown_and_remembered(tmp_path: Path) -> None:
    references = ["4", "4", None, "4"]
    answers = ["so it is \\boxed{4}", "\\boxed{5}", "\\boxed{4}", "\\boxed{4.0}"]
    found = verdicts(Grader(), Store(tmp_path), references, answers)
    assert found == [True, False, None, True]
    assert verdicts(Grader(), Store(tmp_path), references[::-1], answers[::-1]) == found[::-1]
    assert verdicts(Grader(), Store(tmp_path), [], []) == []


def test_a_missing_reference_is_not_the_word_none(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        verdicts(Grader(), store, ["None"], ["\\boxed{5}"])
    assert verdicts(Grader(), Store(tmp_path), [None], ["\\boxed{5}"]) == [None]


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    keys = [f"key {i}" for i in range(400)]
    Lengths(keys).run(Store(tmp_path), batch_size=400)
    [part] = tmp_path.glob("*.parquet")
    content = bytearray(part.read_bytes())
    middle = content.index(b"PAR1", 4) if b"PAR1" in content[4:-4] else len(content) // 2
    store = Store(tmp_path)  # the keys are read; then the disk goes bad
    part.write_bytes(content[: middle // 2])
    again = Lengths(keys)
    assert again.run(store, batch_size=400) == [len(key) for key in keys]
    assert again.asked == [keys]
    third = Lengths(keys)
    assert third.run(Store(tmp_path)) == [len(key) for key in keys]
    assert third.asked == []
