"""Real vLLM with SmolLM2 on real questions: in a process of its own, and behind `vllm serve`."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, WordEncoder
from datasets import Dataset

import rbic_hf
from rbic_hf import ModelError, RbicConfig, demo, prompts
from rbic_hf.probers.server import ServerProber
from rbic_hf.probers.vllm_process import VllmProber, _Engine
from rbic_hf.protocols import MAX_LOST_PROMPTS
from rbic_hf.rollouts import ask, missing
from rbic_hf.sample import make_sample
from rbic_hf.store import Store

pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

LIMITS = {"max_new_tokens": 24, "max_prompt_tokens": 400}
CONFIG = RbicConfig(num_neighbors=8, max_probe_rows=8, num_rollouts=2, max_new_tokens=24)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(demo.export_prober(tmp_path_factory.mktemp("smollm2")))


@pytest.fixture(scope="module")
def prober(model: str) -> Iterator[VllmProber]:
    with VllmProber(model, name="smollm2", **LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def gsm8k() -> Dataset:
    """Forty rows of GSM8K where the data is at hand, else of the embedded sample."""
    path = DATA / "pools" / "gsm8k_train.jsonl"
    if not path.is_file():
        return Dataset.from_list(make_sample(40, seed=1))
    with path.open(encoding="utf-8") as lines:
        return Dataset.from_list([json.loads(next(lines)) for _ in range(40)])


def questions(dataset: Dataset, count: int) -> list[list[dict[str, str]]]:
    asked = dataset["question"][:count]
    return [prompts.prompt(question, language="en", reference="1") for question in asked]


def test_real_rows_are_probed_and_never_twice(
    prober: VllmProber, gsm8k: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {
        "config": CONFIG, "encoder": WordEncoder(), "prober": prober, "cache_dir": tmp_path,
    }  # fmt: skip
    scored = rbic_hf.score(gsm8k, with_generations=True, **arguments).to_pandas()
    asked = scored[scored.rbic_probe.isin(["measured", "unknown"])]
    assert len(asked) >= 8
    assert (asked.rbic_rollouts + asked.rbic_unknown == 2).all()
    assert all(len(set(texts)) == 2 for texts in asked.rbic_generations)
    monkeypatch.setattr(_Engine, "send", lambda *_: pytest.fail("asked again"))
    again = rbic_hf.score(gsm8k.shuffle(seed=1), **arguments)
    first = scored.set_index("rbic_key").rbic_probe.dropna().to_dict()
    known = {k: p for k, p in zip(again["rbic_key"], again["rbic_probe"], strict=True) if p}
    assert known == first


def test_a_long_prompt_is_marked_and_samples_follow_their_seeds(
    prober: VllmProber, gsm8k: Dataset
) -> None:
    asked = questions(gsm8k, 4)
    long = [{"role": "user", "content": "word " * 1000}]
    seeds = [10, 20, 30, 40, 50]
    found = dict(prober.probe([*asked, long], n=3, seeds=seeds))
    assert found.pop(4) is None
    assert all(samples and len(samples) == 3 for samples in found.values())
    assert all(s.num_tokens and s.num_tokens <= 24 for samples in found.values() for s in samples)
    again = dict(prober.probe([*asked, long], n=3, seeds=seeds))
    assert again == {**found, 4: None}
    # the third sample alone, as when more rollouts are asked for later; a near-tie may flip
    third = dict(prober.probe(asked, n=1, seeds=[seed + 2 for seed in seeds[:4]]))
    assert sum(third[i][0].text == found[i][2].text for i in range(4)) >= 3


KILLED = f"""
    import sys
    from pathlib import Path
    from rbic_hf.probers.vllm_process import VllmProber, _Engine
    from rbic_hf.rollouts import ask, missing
    from rbic_hf.store import Store

    store, model, log = Path(sys.argv[1]), sys.argv[2], open(sys.argv[3], "a", buffering=1)
    original = _Engine.send

    def send(self, message):
        log.write("prompt\\n" if "id" in message else "start\\n")
        original(self, message)

    _Engine.send = send
    prompts = [[{{"role": "user", "content": f"Say {{i}}!"}}] for i in range(160)]
    prober = VllmProber(model, name="smollm2", **{LIMITS!r})
    store = Store(store)
    ask(prober, store, missing(store, prompts, n=2, seed=0), seed=0)
"""


def test_kill_9_costs_at_most_a_micro_batch_and_leaves_no_engine(
    prober: VllmProber, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), model, str(log)],
        stderr=subprocess.DEVNULL,
    )
    while not list(folder.glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.05)
    [engine] = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    sent_before = log.read_text().count("prompt")
    assert sent_before < 160
    sent: list[Any] = []
    original = _Engine.send
    monkeypatch.setattr(_Engine, "send", lambda self, m: (sent.append(m), original(self, m)))
    store, asked = (
        Store(folder),
        [[{"role": "user", "content": f"Say {i}!"}] for i in range(160)],
    )
    ask(prober, store, missing(store, asked, n=2, seed=0), seed=0)
    assert missing(Store(folder), asked, n=2, seed=0).prompts == []
    assert sent_before + len(sent) - 160 <= MAX_LOST_PROMPTS
    assert not group_is_alive(engine)


def children(pid: int) -> list[int]:
    """Return the child processes that lead a group of their own."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if os.getpgid(int(child)) == int(child)]


def group_is_alive(group: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def test_an_iterator_that_is_left_early_ends_the_engine(model: str) -> None:
    prober = VllmProber(model, **LIMITS)

    class Fake:
        closed = False

        def send(self, message: Any) -> None:
            pass

        def receive(self) -> Any:
            return {"id": 0, "samples": []}

        def close(self) -> None:
            self.closed = True

    fake = Fake()
    prober._engine = fake  # type: ignore[assignment]
    asked = [[{"role": "user", "content": "Hi"}]] * 3
    answers = prober.probe(asked, n=1, seeds=[0, 1, 2])
    next(answers)
    answers.close()
    assert fake.closed


def test_an_engine_that_cannot_start_says_why(model: str, tmp_path: Path) -> None:
    asked = [[{"role": "user", "content": "Hi"}]]
    with pytest.raises(ModelError, match="cannot start 'no-such-python'"):
        list(VllmProber(model, python="no-such-python").probe(asked, n=1, seeds=[0]))
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ModelError, match=r"vLLM is not installed for .*python; pip install"):
        list(VllmProber(model, python=str(bare)).probe(asked, n=1, seeds=[0]))


@pytest.fixture(scope="module")
def served(model: str, prober: VllmProber, tmp_path_factory: pytest.TempPathFactory) -> Any:
    prober.close()  # two engines at once have no room on a small machine
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("serve") / "log").open("w+")
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    }  # fmt: skip
    # what `vllm serve` runs; the command itself looks for a package of the name vllm, not vllm-cpu
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server",
        "--model", model, "--served-model-name", "smollm2",
        "--host", "127.0.0.1", "--port", str(port), "--max-model-len", "512", "--enforce-eager",
        "--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096",
        "--gpu-memory-utilization", "0.2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Any) -> None:
    for _ in range(400):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                log.seek(0)
                pytest.fail(f"vllm serve ended:\n{log.read()[-3000:]}")
            time.sleep(1)
    pytest.fail("vllm serve did not come up")


def test_a_real_server_is_probed_by_its_address(
    served: str, gsm8k: Dataset, tmp_path: Path
) -> None:
    scored = rbic_hf.score(
        gsm8k, config=CONFIG, encoder=WordEncoder(), prober=served, cache_dir=tmp_path
    ).to_pandas()
    asked = scored[scored.rbic_probe.isin(["measured", "unknown"])]
    assert len(asked) >= 8
    assert (asked.rbic_rollouts + asked.rbic_unknown == 2).all()


def test_a_real_server_marks_long_prompts_and_obeys_seeds(served: str, gsm8k: Dataset) -> None:
    prober = ServerProber(served, max_new_tokens=24)
    asked = questions(gsm8k, 4)
    long = [{"role": "user", "content": "word " * 1000}]
    found = dict(prober.probe([*asked, long], n=2, seeds=[10, 20, 30, 40, 50]))
    assert found.pop(4) is None
    again = dict(prober.probe(asked, n=2, seeds=[10, 20, 30, 40]))
    assert sum(found[i] == again[i] for i in range(4)) >= 3
    assert all(s.num_tokens and s.num_tokens <= 24 for samples in found.values() for s in samples)
