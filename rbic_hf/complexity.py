"""How complex each row's reasoning is; in worker processes where there are many rows.

Reading a graph out of a text takes a third of a millisecond: the longest part of scoring outside
the models, and one that two processes halve.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from tqdm.auto import tqdm

from rbic_hf import steps
from rbic_hf.formats import Reading
from rbic_hf.workers import WorkerPool

WORTH_PROCESSES = 10_000  # rows; below, workers are not done starting when one process is through
CHUNK = 128  # rows per call of a worker
CHUNKS_PER_ROUND = 32  # the bar moves after each round
TIMEOUT_S = 600.0

VERSION = 1  # bump when the columns change

# every measure is a column of its own name
MEASURES = tuple(field.name for field in fields(steps.Complexity))


def complexities(readings: Sequence[Reading]) -> list[steps.Complexity]:
    """Return the logical complexity of every row's response."""
    texts = [(reading.response, reading.own_answer) for reading in readings]
    num_proc = _num_cpus()
    with tqdm(total=len(texts), desc="Reading reasoning", unit="row", leave=False) as bar:
        if len(texts) < WORTH_PROCESSES or num_proc == 1:
            found = []
            for text, answer in texts:
                found.append(steps.measure(text, answer=answer))
                bar.update()
            return found
        return _in_processes(texts, num_proc, bar)


def as_columns(found: Sequence[steps.Complexity]) -> dict[str, list[Any]]:
    """Return the measures as columns, `rbic_steps` to `rbic_confidence`."""
    return {f"rbic_{name}": [getattr(one, name) for one in found] for name in MEASURES}


def measure_many(texts: list[list[Any]]) -> list[list[Any]]:
    """Return the fields of each complexity, as JSON values; what a worker calls."""
    return [list(astuple(steps.measure(text, answer=answer))) for text, answer in texts]


def _in_processes(
    texts: Sequence[tuple[str, str | None]], num_proc: int, bar: Any
) -> list[steps.Complexity]:
    pool = WorkerPool("rbic_hf.complexity:measure_many", warm_up=[[]])
    found: list[steps.Complexity] = []
    try:
        for start in range(0, len(texts), CHUNK * CHUNKS_PER_ROUND):
            part = texts[start : start + CHUNK * CHUNKS_PER_ROUND]
            chunks = [[part[i : i + CHUNK]] for i in range(0, len(part), CHUNK)]
            measured = pool.map(chunks, timeout_s=TIMEOUT_S, num_proc=num_proc)
            for [chunk], fields in zip(chunks, measured, strict=True):
                # a worker that was killed, for memory perhaps, leaves its rows to this process
                rows = measure_many([list(pair) for pair in chunk]) if fields is None else fields
                found += [steps.Complexity(*row) for row in rows]
            bar.update(len(part))
    finally:
        pool.close()
    return found


def _num_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
