"""Rollouts are paid for once: keyed by content, kept at once, read back part by part."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import TableProber
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf import ModelError, Sample
from rbic_hf.protocols import MAX_IN_FLIGHT, MAX_LOST_PROMPTS, Probed
from rbic_hf.rollouts import Prompt, ask, missing, prompt_seed, read, rollout_keys, shown_time
from rbic_hf.store import Store


def prompt(text: str) -> Prompt:
    return [{"role": "user", "content": text}]


PROMPTS = [prompt("1 + 1"), prompt("2 + 2"), prompt("1 + 1"), prompt("seven")]


def table_prober() -> TableProber:
    return TableProber({"1 + 1": "2", "2 + 2": "4", "seven": "7"})


def probe(
    prober: Any, store: Store, prompts: Any = PROMPTS, *, n: int = 3, seed: int = 0
) -> list[list[Sample] | None]:
    ask(prober, store, missing(store, prompts, n=n, seed=seed), seed=seed)
    return kept(store, prompts, n=n, seed=seed)


def kept(
    store: Store, prompts: Any = PROMPTS, *, n: int = 3, seed: int = 0
) -> list[list[Sample] | None]:
    found: list[dict[int, Sample]] = [{} for _ in prompts]
    for part in read(store, prompts, n=n, seed=seed):
        for place, index, sample in part:
            assert index not in found[place]
            found[place][index] = sample
    return [[of[k] for k in range(n)] if len(of) == n else None for of in found]


def test_each_distinct_prompt_is_asked_once_however_the_rows_move(tmp_path: Path) -> None:
    first, second = table_prober(), table_prober()
    found = probe(first, Store(tmp_path))
    assert first.num_prompts == 3
    assert all(samples and len(samples) == 3 for samples in found) and found[0] == found[2]
    assert probe(second, Store(tmp_path), PROMPTS[::-1]) == found[::-1]
    assert second.num_prompts == 0


def test_more_rollouts_pay_only_for_the_difference_and_fewer_for_nothing(tmp_path: Path) -> None:
    four = probe(table_prober(), Store(tmp_path), n=4)
    prober = table_prober()
    wanted = missing(Store(tmp_path), PROMPTS, n=6, seed=0)
    assert (wanted.first, wanted.num_rollouts) == ([4, 4, 4], 6)
    six = probe(prober, Store(tmp_path), n=6)
    assert prober.num_prompts == 3
    assert [s and s[:4] for s in six] == four
    assert six == probe(table_prober(), Store(None), n=6)  # as if they had come at once
    assert probe(prober, Store(tmp_path), n=2) == [s and s[:2] for s in six]
    assert prober.num_prompts == 3


def test_another_seed_is_asked_anew(tmp_path: Path) -> None:
    found = probe(table_prober(), Store(tmp_path))
    other = table_prober()
    assert probe(other, Store(tmp_path), seed=1) != found
    assert other.num_prompts == 3


def test_a_prompts_seed_and_keys_depend_on_its_content_alone() -> None:
    keys = [rollout_keys(p, n=4, seed=0) for p in PROMPTS]
    assert keys[0] == keys[2] and len({key for of in keys for key in of}) == 12
    assert [rollout_keys(p, n=2, seed=0) for p in PROMPTS] == [of[:2] for of in keys]
    seeds = [prompt_seed(p, 0) for p in PROMPTS]
    assert seeds[0] == seeds[2] and len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert prompt_seed(PROMPTS[0], 1) != seeds[0]


@given(st.lists(st.sampled_from("abcdef"), max_size=20), st.integers(1, 5), st.integers(1, 5))
def test_every_missing_rollout_is_wanted_exactly_once(texts: list[str], n: int, more: int) -> None:
    store = Store(None)
    prompts = [prompt(text) for text in texts]
    probe(TableProber({}), store, prompts[::2], n=n)
    wanted = missing(store, prompts, n=n + more, seed=0)
    distinct = set(texts)
    assert len(wanted.prompts) == len(distinct)
    assert wanted.num_rollouts == (n + more) * len(distinct) - n * len(set(texts[::2]))


class Answering:
    """A prober that yields, or raises, what it is told to."""

    spec: Mapping[str, Any] = {"prober": "told"}

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.closed = False

    def probe(self, prompts: Any, *, n: int, seeds: Any) -> Iterator[Any]:
        try:
            for place, answer in enumerate(self.answers):
                if isinstance(answer, BaseException):
                    raise answer
                yield answer if isinstance(answer, tuple) or answer == 7 else (place, answer)
        finally:
            self.closed = True


GOOD = [Sample("2", "stop", 1), Sample("3", "length", 5)]


def test_a_prompt_that_is_too_long_or_failed_is_named_and_asked_again(tmp_path: Path) -> None:
    failed = [Sample("", "error"), Sample("2", "stop")]
    store = Store(tmp_path)
    prober = Answering(GOOD, None, failed)
    problems = ask(prober, store, missing(store, PROMPTS, n=2, seed=0), seed=0)
    two, seven = (rollout_keys(PROMPTS[i], n=1, seed=0)[0] for i in (1, 3))
    assert problems == {two: "too_long", seven: "failed"}
    assert kept(store, n=2) == [GOOD, None, GOOD, None]
    assert missing(Store(tmp_path), PROMPTS, n=2, seed=0).prompts == [PROMPTS[1], PROMPTS[3]]


def test_characters_that_cannot_be_stored_are_replaced() -> None:
    odd = [Sample("a\ud800b\x00", "stop"), Sample("", "stop")]
    found = probe(Answering(odd), Store(None), [prompt("x")], n=2)
    assert found == [[Sample("a?b\x00", "stop"), Sample("", "stop")]]


def test_no_prompts_ask_nobody() -> None:
    assert probe(Answering(), Store(None), []) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (7, "yielded int, not"),
        ((0, GOOD), "yielded place 0 twice"),
        ((9, GOOD), "yielded place 9"),
        (GOOD[:1], "1 samples for one prompt, not 2"),
        ([], "0 samples for one prompt, not 2"),
        (["2", "3"], r"list of rbic_hf\.Sample"),
        ("23", r"list of rbic_hf\.Sample"),
        ([Sample(None, "stop")] * 2, r"list of rbic_hf\.Sample"),  # type: ignore[arg-type]
        ([Sample("2", "stop", 2**40)] * 2, r"list of rbic_hf\.Sample"),
        (OSError("gone"), "the prober raised OSError: gone"),
        (ModelError("no weights"), "^no weights$"),
        (KeyboardInterrupt(), "^$"),
    ],
)
def test_a_prober_that_fails_is_quoted_and_what_it_answered_is_kept(
    tmp_path: Path, answer: Any, message: str
) -> None:
    prober = Answering(GOOD, answer)
    expected = KeyboardInterrupt if isinstance(answer, KeyboardInterrupt) else ModelError
    with pytest.raises(expected, match=message):
        probe(prober, Store(tmp_path), n=2)
    assert prober.closed
    assert missing(Store(tmp_path), PROMPTS, n=2, seed=0).prompts == [PROMPTS[1], PROMPTS[3]]


def test_a_prober_that_leaves_prompts_out_is_found_out() -> None:
    with pytest.raises(ModelError, match="left out 2 of 3 prompts"):
        probe(Answering(GOOD), Store(None), n=2)


def test_the_cost_is_told_once_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("rbic_hf.rollouts.time.monotonic", lambda: now[0])

    class Slow:
        spec: Mapping[str, Any] = {"prober": "slow"}

        def probe(self, prompts: Any, *, n: int, seeds: Any) -> Iterator[Probed]:
            now[0] += 100  # the engine starts
            for place in range(len(prompts)):
                now[0] += 2
                yield place, [Sample("x", "stop", 50)] * n

    said: list[str] = []
    store, prompts = Store(None), [prompt(str(i)) for i in range(100)]
    ask(Slow(), store, missing(store, prompts, n=2, seed=0), seed=0, say=said.append)
    # one prompt in 102 s, then one every 2 s: told when more than a minute has passed
    [line] = said
    assert line.startswith("measured on 2 of 200 rollouts: 50 tokens a rollout, about 10,000 in")


def test_the_pace_of_batches_is_told_without_the_start_of_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("rbic_hf.rollouts.time.monotonic", lambda: now[0])

    class Batches:
        spec: Mapping[str, Any] = {"prober": "batches"}

        def probe(self, prompts: Any, *, n: int, seeds: Any) -> Iterator[Probed]:
            for place in range(len(prompts)):
                if place % 20 == 0:
                    now[0] += 600 if place == 0 else 30  # the first holds the model's loading
                yield place, [Sample("x", "stop", 50)] * n

    said: list[str] = []
    store, prompts = Store(None), [prompt(str(i)) for i in range(200)]
    ask(Batches(), store, missing(store, prompts, n=2, seed=0), seed=0, say=said.append)
    # told when the second batch comes: 20 prompts in 30 s, and 180 of them are left
    [line] = said
    assert line.startswith("measured on 40 of 400 rollouts") and line.endswith("about 4 min left")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(4.4, "4 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_times_are_told_as_a_person_says_them(seconds: float, shown: str) -> None:
    assert shown_time(seconds) == shown


# A prober that notes each prompt it is asked, and works on as many at once as an engine may.
SCRIPT = f"""
    import sys
    from pathlib import Path
    from rbic_hf import Sample
    from rbic_hf.rollouts import ask, missing
    from rbic_hf.store import Store

    log = Path(sys.argv[2]).open("a", buffering=1)
    count, die_after = int(sys.argv[3]), int(sys.argv[4])

    class Noting:
        spec = {{"prober": "noting"}}
        def probe(self, prompts, *, n, seeds):
            for start in range(0, len(prompts), {MAX_IN_FLIGHT}):
                batch = range(start, min(start + {MAX_IN_FLIGHT}, len(prompts)))
                for place in batch:
                    log.write(prompts[place][0]["content"] + "\\n")
                for place in batch:
                    if place == die_after:
                        print("now", flush=True)
                        sys.stdin.read()  # waits for the kill
                    yield place, [Sample(f"answer {{k}}", "stop", 2) for k in range(n)]

    store = Store(Path(sys.argv[1]))
    prompts = [[{{"role": "user", "content": f"question {{i}}"}}] for i in range(count)]
    ask(Noting(), store, missing(store, prompts, n=4, seed=0), seed=0)
"""


def run_noting(
    folder: Path, log: Path, *, count: int, die_after: int = -1
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(log)]
    return subprocess.Popen(
        [*command, str(count), str(die_after)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can kill")
def test_kill_9_costs_at_most_a_micro_batch_and_more_rows_only_themselves(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    with run_noting(folder, log, count=1000, die_after=500) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
    asked_before = log.read_text().splitlines()
    assert len(asked_before) > 500
    with run_noting(folder, log, count=1000) as process:
        process.communicate()
    asked = log.read_text().splitlines()
    assert len(asked) - 1000 <= MAX_LOST_PROMPTS  # asked twice
    assert len(set(asked)) == 1000
    with run_noting(folder, log, count=1100) as process:
        process.communicate()
    assert len(log.read_text().splitlines()) - len(asked) == 100


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    processes = [run_noting(folder, log, count=400) for _ in range(2)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    prompts = [prompt(f"question {i}") for i in range(400)]
    assert missing(Store(folder), prompts, n=4, seed=0).prompts == []
    found = kept(Store(folder), prompts, n=4)
    assert found == [[Sample(f"answer {k}", "stop", 2) for k in range(4)]] * 400
