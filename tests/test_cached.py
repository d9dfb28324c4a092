"""What is paid for once stays: remembered results, vectors, rollouts and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import TableProber, WordEncoder
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf import ModelError, Sample
from rbic_hf.cached import (
    embeddings,
    num_missing,
    prompt_seed,
    remembered,
    rollout_keys,
    rollouts,
    token_counts,
    verdicts,
)
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
    assert num_missing(store, keys) == len(set(keys))
    assert compute.run(store, batch_size=batch_size) == [1] * len(keys)
    assert sorted(key for batch in compute.asked for key in batch) == sorted(set(keys))
    assert all(len(batch) <= batch_size for batch in compute.asked)
    assert num_missing(store, [*keys, "new", "new"]) == 1


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


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


PROMPTS = [ask("1 + 1"), ask("2 + 2"), ask("1 + 1"), ask("seven")]


def probe(prober: Any, store: Store, prompts: Any = PROMPTS, *, n: int = 3, seed: int = 0) -> Any:
    return rollouts(prober, store, prompts, n=n, seed=seed, batch_size=2)


def table_prober() -> TableProber:
    return TableProber({"1 + 1": "2", "2 + 2": "4", "seven": "7"})


def test_each_distinct_prompt_is_asked_once_however_the_rows_move(tmp_path: Path) -> None:
    first, second = table_prober(), table_prober()
    found = probe(first, Store(tmp_path))
    assert first.num_prompts == 3
    assert [len(samples) for samples in found] == [3, 3, 3, 3] and found[0] == found[2]
    assert probe(second, Store(tmp_path), PROMPTS[::-1]) == found[::-1]
    assert second.num_prompts == 0


def test_more_rollouts_or_another_seed_are_asked_anew(tmp_path: Path) -> None:
    found = probe(table_prober(), Store(tmp_path))
    for changes in ({"n": 4}, {"seed": 1}):
        other = table_prober()
        assert probe(other, Store(tmp_path), **changes) != found
        assert other.num_prompts == 3


def test_a_prompts_seed_and_key_depend_on_its_content_alone() -> None:
    keys = rollout_keys(PROMPTS, n=4, seed=0)
    assert keys[0] == keys[2] and len(set(keys)) == 3
    assert rollout_keys(PROMPTS[::-1], n=4, seed=0) == keys[::-1]
    seeds = [prompt_seed(prompt, 0) for prompt in PROMPTS]
    assert seeds[0] == seeds[2] and len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert prompt_seed(PROMPTS[0], 1) != seeds[0]


class Answering:
    """A prober that returns, or raises, what it is told to for each call."""

    spec: Mapping[str, Any] = {"prober": "told"}

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def probe(self, prompts: Any, *, n: int, seeds: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


GOOD = [Sample("2", "stop"), Sample("3", "length")]


def test_a_prompt_that_was_not_probed_stays_unknown() -> None:
    found = probe(Answering([GOOD, None], [None]), Store(None), n=2)
    # "1 + 1" and "2 + 2" are asked first, in this order; "seven" is shorter
    assert found == [GOOD, None, GOOD, None]


def test_characters_that_cannot_be_stored_are_replaced() -> None:
    odd = [Sample("a\ud800b\x00", "stop"), Sample("", "stop")]
    found = probe(Answering([odd]), Store(None), [ask("x")], n=2)
    assert found == [[Sample("a?b\x00", "stop"), Sample("", "stop")]]


def test_no_prompts_ask_nobody() -> None:
    assert probe(Answering(), Store(None), []) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([GOOD], "returned 1 for 2 prompts"),
        ([GOOD] * 3, "returned 3 for 2 prompts"),
        (None, "returned NoneType for 2 prompts"),
        ((GOOD, GOOD), "returned tuple for 2 prompts"),
        ([GOOD, GOOD[:1]], "1 samples for one prompt, not 2"),
        ([GOOD, []], "0 samples for one prompt, not 2"),
        ([GOOD, ["2", "3"]], r"list of rbic_hf\.Sample"),
        ([GOOD, "23"], r"list of rbic_hf\.Sample"),
        ([GOOD, 7], r"list of rbic_hf\.Sample"),
        (OSError("gone"), "the prober raised OSError: gone"),
        (ModelError("no weights"), "^no weights$"),
    ],
)
def test_a_prober_that_fails_is_quoted_and_what_it_answered_is_kept(
    tmp_path: Path, answer: Any, message: str
) -> None:
    prompts = [ask(text) for text in ("aaaa", "bbb", "cc", "d")]  # asked longest first
    with pytest.raises(ModelError, match=message):
        probe(Answering([GOOD, GOOD], answer), Store(tmp_path), prompts, n=2)
    later = Answering([GOOD, GOOD])
    assert probe(later, Store(tmp_path), prompts, n=2) == [GOOD] * 4
    assert later.answers == []


def test_an_interrupted_prober_loses_nothing_that_it_had_answered(tmp_path: Path) -> None:
    prompts = [ask(text) for text in ("aaaa", "bbb", "cc", "d")]
    with pytest.raises(KeyboardInterrupt):
        probe(Answering([GOOD, GOOD], KeyboardInterrupt()), Store(tmp_path), prompts, n=2)
    assert num_missing(Store(tmp_path), rollout_keys(prompts, n=2, seed=0)) == 2


def test_verdicts_are_true_false_or_unknown_and_remembered(tmp_path: Path) -> None:
    references = ["4", "4", None, "4"]
    answers = ["so it is \\boxed{4}", "\\boxed{5}", "\\boxed{4}", "\\boxed{4.0}"]
    found = verdicts(Store(tmp_path), references, answers, desc="Grading")
    assert found == [True, False, None, True]
    assert verdicts(Store(tmp_path), references[::-1], answers[::-1], desc="") == found[::-1]
    assert verdicts(Store(tmp_path), [], [], desc="") == []


def test_a_missing_reference_is_not_the_word_none(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        verdicts(store, ["None"], ["\\boxed{5}"], desc="Grading")
    assert verdicts(Store(tmp_path), [None], ["\\boxed{5}"], desc="Grading") == [None]
