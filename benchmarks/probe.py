"""Probing with vLLM against bare `LLM.chat`, on the same GSM8K prompts in the same run.

    python benchmarks/probe.py [--quick]

Bare: all prompts in one call of `LLM.chat`. Ours: `VllmProber` with a store on disk, a few prompts
in flight, everything kept. Same engine arguments, sampling and seeds; engines start before the
clock does; the two take turns. Then all rollouts are graded, from nothing.
The last line is JSON; it is appended to benchmarks/results/probe.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recording import finish, rows_of

from rbic_hf import demo, prompts, rollouts
from rbic_hf.graders import Grader
from rbic_hf.probers.vllm_process import VllmProber
from rbic_hf.store import Store

N = 4
MAX_PROMPT_TOKENS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="24 questions instead of 64")
    parser.add_argument("--bare", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if args.bare:
        serve_bare(args.bare, args.max_new_tokens)
        return
    rows = rows_of("pools/gsm8k_train")[: 24 if args.quick else 64]
    asked = [prompts.prompt(r["question"], language="en", reference="1") for r in rows]
    rounds = 1 if args.quick else 2
    with tempfile.TemporaryDirectory() as folder:
        model = str(demo.export_prober(Path(folder) / "model"))
        times = measure(model, asked, args.max_new_tokens, rounds, Path(folder))
        store = Store(Path(folder) / "ours-0")
        graded_s, num_graded = grade(store, asked, rows)
    ours, bare = min(times["ours"]), min(times["bare"])
    num = len(asked) * N
    finish(
        "probe",
        {
            "questions": len(asked),
            "rollouts": num,
            "max_new_tokens": args.max_new_tokens,
            "throughput_ratio": round(bare / ours, 3),
            "ratio_per_round": [
                round(b / o, 3) for b, o in zip(times["bare"], times["ours"], strict=True)
            ],
            "rollouts_per_s": round(num / ours, 2),
            "graded_per_s": round(num_graded / graded_s, 1),
            "grading_over_generation": round(num_graded / graded_s / (num / ours), 1),
            "store_share": round(times["store"][0] / ours, 5),
        },
    )


def measure(
    model: str, asked: list[Any], max_new_tokens: int, rounds: int, folder: Path
) -> dict[str, list[float]]:
    """Return the seconds of each round."""
    bare = Bare(model, max_new_tokens)
    times: dict[str, list[float]] = {"bare": [], "ours": [], "store": []}
    with VllmProber(
        model, max_new_tokens=max_new_tokens, max_prompt_tokens=MAX_PROMPT_TOKENS
    ) as prober:
        warm_up = [prompts.prompt("1 + 1?", language="en", reference="2")]
        list(prober.probe(warm_up, n=1, seeds=[0]))
        for turn in range(rounds):
            # another seed each time: what the engine remembers of a prompt is the same for both
            times["bare"].append(bare.run(asked, seed=turn))
            store = Store(folder / f"ours-{turn}")
            adding = timed_writes(store)
            wanted = rollouts.missing(store, asked, n=N, seed=turn)
            started = time.perf_counter()
            rollouts.ask(prober, store, wanted, seed=turn)
            times["ours"].append(time.perf_counter() - started)
            times["store"].append(sum(adding))
            print(f"round {turn}: {times}", flush=True)
    bare.stop()
    return times


def timed_writes(store: Store) -> list[float]:
    """Return the list into which the store's writes put their seconds from now on."""
    spent: list[float] = []
    for name in ("add", "flush"):
        original = getattr(store, name)

        def timed(*args: Any, _original: Any = original, **kwargs: Any) -> None:
            started = time.perf_counter()
            _original(*args, **kwargs)
            spent.append(time.perf_counter() - started)

        setattr(store, name, timed)
    return spent


def grade(store: Store, asked: list[Any], rows: list[dict[str, Any]]) -> tuple[float, int]:
    """Return seconds and number of gradings of all rollouts, cut off or not."""
    references = [row["answer"].split("####")[-1].strip() for row in rows]
    pairs = [
        (references[place], sample.text)
        for part in rollouts.read(store, asked, n=N, seed=0)
        for place, _, sample in part
    ]
    grader = Grader()
    grader.grade(["$x+1$"] * 2, ["$y$", "$1+x$"])  # the worker processes start
    started = time.perf_counter()
    grader.grade([a for a, _ in pairs], [b for _, b in pairs])
    return time.perf_counter() - started, len(pairs)


class Bare:
    """`LLM.chat` in a process of its own."""

    def __init__(self, model: str, max_new_tokens: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--bare", model, "--max-new-tokens", str(max_new_tokens)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._receive()

    def run(self, asked: list[Any], seed: int) -> float:
        assert self._process.stdin is not None
        seeds = [rollouts.prompt_seed(prompt, seed) for prompt in asked]
        self._process.stdin.write(json.dumps([asked, seeds]) + "\n")
        self._process.stdin.flush()
        return float(self._receive())

    def _receive(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("BARE "):
                return line.split()[1]
        raise SystemExit("the bare engine ended")

    def stop(self) -> None:
        self._process.communicate()


def serve_bare(model: str, max_new_tokens: int) -> None:
    from vllm import SamplingParams

    from rbic_hf.probers import vllm_engine

    sampling = {"temperature": 0.7, "top_p": 0.95, "max_tokens": max_new_tokens}
    llm = vllm_engine.start(
        {"engine": {"model": model}, "sampling": sampling, "longest_prompt": MAX_PROMPT_TOKENS}
    )
    llm.chat(
        [[{"role": "user", "content": "1 + 1?"}]], SamplingParams(max_tokens=4), use_tqdm=False
    )
    print("BARE ready", flush=True)
    for line in sys.stdin:
        asked, seeds = json.loads(line)
        started = time.perf_counter()
        llm.chat(asked, [SamplingParams(n=N, seed=s, **sampling) for s in seeds], use_tqdm=False)
        print("BARE", time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
