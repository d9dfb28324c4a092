"""Rollouts of the real SmolLM2 with transformers: seeds, limits, and what a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from rbic_hf import demo, prompts
from rbic_hf.probers.local import TransformersProber
from rbic_hf.protocols import MAX_LOST_PROMPTS
from rbic_hf.rollouts import ask as ask_for
from rbic_hf.rollouts import missing
from rbic_hf.store import Store

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def smollm() -> TransformersProber:
    _, folder = demo.packaged_models()
    return TransformersProber(folder, max_new_tokens=24, max_prompt_tokens=300, batch_size=8)


QUESTIONS = ["What is 2 + 3?", "Tom has 4 apples and buys 6 more. How many apples does he have?"]


def ask(prober: TransformersProber, questions: list[str], n: int = 2) -> list[list[str] | None]:
    messages = [prompts.prompt(q, language="en", reference="5") for q in questions]
    answers = prober.probe(messages, n=n, seeds=[len(q) for q in questions])
    found = dict(answers)
    assert sorted(found) == list(range(len(questions)))
    return [s and [each.text for each in s] for _, s in sorted(found.items())]


def test_samples_follow_their_seeds_and_differ_between_rollouts(
    smollm: TransformersProber,
) -> None:
    first, second = ask(smollm, QUESTIONS), ask(smollm, QUESTIONS)
    assert first == second
    assert all(answers is not None and len(set(answers)) == 2 for answers in first)


def test_a_rollout_is_cut_at_its_limit_and_says_so(smollm: TransformersProber) -> None:
    messages = [prompts.prompt("Write a very long story.", language="en", reference=None)]
    [(_, samples)] = smollm.probe(messages, n=1, seeds=[0])
    assert samples is not None
    assert samples[0].finish_reason == "length"


def test_an_overlong_prompt_is_marked_and_its_neighbour_answered(
    smollm: TransformersProber,
) -> None:
    long, short = ask(smollm, ["word " * 1000, QUESTIONS[0]])
    assert long is None
    assert short is not None
    assert len(short) == 2


def test_the_model_solves_easy_problems_part_of_the_time() -> None:
    _, folder = demo.packaged_models()
    prober = TransformersProber(folder, max_new_tokens=48, batch_size=16)
    messages = [prompts.prompt(QUESTIONS[0], language="en", reference="5")]
    [(_, samples)] = prober.probe(messages, n=8, seeds=[1])
    assert samples is not None
    assert any("5" in sample.text for sample in samples)


KILLED = """
    import sys
    from pathlib import Path
    from rbic_hf import demo
    from rbic_hf.probers.local import TransformersProber
    from rbic_hf.rollouts import ask, missing
    from rbic_hf.store import Store

    store, log = Path(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
    original = TransformersProber._generate

    def generate(self, ids, n, seeds):
        log.write("prompt\\n" * len(ids))
        return original(self, ids, n, seeds)

    TransformersProber._generate = generate
    prompts = [[{"role": "user", "content": f"Say {i}!"}] for i in range(160)]
    prober = TransformersProber(demo.packaged_models()[1], max_new_tokens=2, batch_size=16)
    store = Store(store)
    ask(prober, store, missing(store, prompts, n=2, seed=0), seed=0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can kill")
def test_kill_9_costs_at_most_a_micro_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), str(log)],
        stderr=subprocess.DEVNULL,
    )
    while not list(folder.glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    asked_before = log.read_text().count("prompt")
    assert 0 < asked_before < 160
    num_asked: list[int] = []
    original = TransformersProber._generate

    def generate(self: Any, ids: Any, n: int, seeds: Any) -> Any:
        num_asked.append(len(seeds))
        return original(self, ids, n, seeds)

    monkeypatch.setattr(TransformersProber, "_generate", generate)
    prober = TransformersProber(demo.packaged_models()[1], max_new_tokens=2, batch_size=16)
    store = Store(folder)
    asked = [[{"role": "user", "content": f"Say {i}!"}] for i in range(160)]
    ask_for(prober, store, missing(store, asked, n=2, seed=0), seed=0)
    assert missing(Store(folder), asked, n=2, seed=0).prompts == []
    assert asked_before + sum(num_asked) - 160 <= MAX_LOST_PROMPTS
