"""Memory while many rows are probed by an engine that costs nothing.

    python benchmarks/probe_memory.py [--quick]

100,000 questions, four rollouts of about 1,000 characters each, graded; `score` runs to the end of
probing, and the resident memory is watched from its start. Also what a rollout costs in all.
The last line is JSON; it is appended to benchmarks/results/probe_memory.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from recording import finish

import rbic_hf
from rbic_hf import Sample, refinery
from rbic_hf.protocols import Probed

FILLER = "so the next number follows from the one before, and we go on from there. " * 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 rows instead of 100,000")
    args = parser.parse_args()
    num_rows = 10_000 if args.quick else 100_000
    watch = Watch()
    original: Any = refinery.probe_pool

    found: Any = None

    def watched(*arguments: Any) -> Any:
        nonlocal found
        with watch:
            found = original(*arguments)
        raise StopIteration  # what follows is not measured

    refinery.probe_pool = watched
    config = rbic_hf.RbicConfig(num_neighbors=5, num_domains=20, duplicate_threshold=1.0)
    prober = Quick()
    with tempfile.TemporaryDirectory() as cache:
        with contextlib.suppress(StopIteration):
            rbic_hf.score(
                questions(num_rows),
                config=config,
                encoder=Directions(),
                prober=prober,
                cache_dir=cache,
            )
        size = sum(path.stat().st_size for path in Path(cache).rglob("*.parquet"))
    measured = sum(outcome == "measured" for outcome in found.outcome)
    finish(
        "probe_memory",
        {
            "rows": num_rows,
            "measured": measured,
            "asked": prober.num_prompts,
            "growth_mb": round(watch.growth_mb, 1),
            "start_mb": round(watch.start_mb, 1),
            "probing_s": round(watch.seconds, 1),
            "us_per_rollout": round(1e6 * watch.seconds / (4 * num_rows), 1),
            "cache_mb": round(size / 1e6, 1),
        },
    )


def questions(count: int) -> Dataset:
    return Dataset.from_dict(
        {
            "question": [f"Question {i}: how much is {i} and {i % 97}?" for i in range(count)],
            "answer": [f"{i} + {i % 97} = {i + i % 97}\n#### {i + i % 97}" for i in range(count)],
        }
    )


class Directions:
    """A random direction per text."""

    spec = {"encoder": "directions"}

    def encode(self, sentences: list[str]) -> Any:
        seeds = [zlib.crc32(text.encode()) for text in sentences]
        return np.stack(
            [np.random.default_rng(seed).standard_normal(16, np.float32) for seed in seeds]
        )


class Quick:
    """Answers at once, right in half of the cases."""

    spec = {"prober": "quick"}
    num_prompts = 0

    def probe(self, prompts: Any, *, n: int, seeds: Any) -> Iterator[Probed]:
        for place, prompt in enumerate(prompts):
            self.num_prompts += 1
            number = int(prompt[0]["content"].split()[1].rstrip(":"))
            right = number + number % 97
            yield (
                place,
                [
                    Sample(f"{FILLER}{k}{seeds[place]} \\boxed{{{right + k % 2}}}", "stop", 250)
                    for k in range(n)
                ],
            )


class Watch:
    """Follows this process's resident memory in a thread."""

    start_mb = growth_mb = seconds = 0.0

    def __enter__(self) -> None:
        self._stopped = threading.Event()
        self.start_mb, self._started = resident_mb(), time.perf_counter()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stopped.wait(0.02):
            self.growth_mb = max(self.growth_mb, resident_mb() - self.start_mb)

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.seconds = time.perf_counter() - self._started


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
