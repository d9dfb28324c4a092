"""Rollouts that are paid for once.

A rollout is kept under what determines it: the prompt, the seed and its index, below the folder of
the prober's spec (model, revision, sampling). Four rollouts of a question are the first four of
eight; rows may move, grow in number or be saved elsewhere. What comes back is on disk after a few
prompts, and read again part by part: neither direction holds all texts in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from rbic_hf.errors import ModelError
from rbic_hf.protocols import (
    FAILED,
    MAX_IN_FLIGHT,
    MAX_LOST_PROMPTS,
    ChatMessage,
    Prober,
    Sample,
)
from rbic_hf.store import Store, content_key

logger = logging.getLogger("rbic_hf")

Prompt = list[ChatMessage]

# With what is in flight they are at most MAX_LOST_PROMPTS prompts that a kill can cost.
PROMPTS_PER_FLUSH = MAX_LOST_PROMPTS - MAX_IN_FLIGHT
SECONDS_PER_FLUSH = 20.0

# After so many prompts, or so long, the first estimate of the whole run is told.
PROMPTS_TO_MEASURE = 32
SECONDS_TO_MEASURE = 60.0
BATCH_PAUSE_S = 0.5


def prompt_seed(messages: Prompt, seed: int) -> int:
    """Return the seed of a prompt's rollouts, from its content: rows may move, rollouts stay."""
    text = json.dumps([messages, seed], ensure_ascii=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little") >> 1


def rollout_keys(messages: Prompt, *, n: int, seed: int) -> list[str]:
    """Return the store keys of a prompt's first `n` rollouts."""
    base = _base(messages, seed)
    return [f"{base}-{index}" for index in range(n)]


def _base(messages: Prompt, seed: int) -> str:
    return content_key(json.dumps(messages), str(seed))


@dataclass(frozen=True)
class Missing:
    """What has to be asked for.

    Attributes:
        prompts: distinct prompts.
        first: index of the first rollout that is missing, per prompt.
        n: rollouts wanted of each.
    """

    prompts: list[Prompt]
    first: list[int]
    n: int

    @property
    def num_rollouts(self) -> int:
        """Rollouts to pay for."""
        return sum(self.n - first for first in self.first)


def missing(store: Store, prompts: Sequence[Prompt], *, n: int, seed: int) -> Missing:
    """Return what the store does not hold of the prompts' first `n` rollouts."""
    distinct = list({_base(prompt, seed): prompt for prompt in prompts}.items())
    known = store.known([f"{base}-{k}" for base, _ in distinct for k in range(n)]).reshape(-1, n)
    asked = np.flatnonzero(~known.all(axis=1)).tolist()
    return Missing([distinct[i][1] for i in asked], np.argmin(known[asked], axis=1).tolist(), n)


def ask(
    prober: Prober,
    store: Store,
    wanted: Missing,
    *,
    seed: int,
    say: Callable[[str], None] = logger.warning,
) -> dict[str, str]:
    """Ask for what is missing and keep it; return first key -> "too_long" or "failed" for the rest.

    A bar shows rollouts per second and the time left; what the run will take is said as soon as the
    first prompts have shown it.

    Raises:
        ModelError: the prober raised or yielded something else than samples; what it had already
            answered is kept, and the next run goes on from there. So it is on Ctrl-C.
    """
    problems: dict[str, str] = {}
    meter = _Meter(wanted.num_rollouts, say)
    writing = _Writing(store, seed)
    bar = tqdm(total=wanted.num_rollouts, desc="Probing", unit="rollout", smoothing=0.1)
    with store, bar, writing:
        for first in sorted(set(wanted.first)):
            prompts = [p for p, f in zip(wanted.prompts, wanted.first, strict=True) if f == first]
            n = wanted.n - first
            for place, samples in _probed(prober, prompts, n, seed, first):
                if samples is None or any(s.finish_reason == FAILED for s in samples):
                    key = rollout_keys(prompts[place], n=1, seed=seed)[0]
                    problems[key] = "too_long" if samples is None else "failed"
                else:
                    writing.add(prompts[place], first, samples)
                bar.update(n)
                meter.count(samples or [], n)
    return problems


def read(
    store: Store, prompts: Sequence[Prompt], *, n: int, seed: int
) -> Iterator[list[tuple[int, int, Sample]]]:
    """Yield (place in `prompts`, index of the rollout, sample), part by part of the store.

    Prompts that were never answered do not occur; equal prompts have the same rollouts.
    """
    places: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        places.setdefault(_base(prompt, seed), []).append(i)
    of_number = list(places.values())
    for found, table in store.scan([f"{base}-{k}" for base in places for k in range(n)]):
        columns = [table[name].to_pylist() for name in ("text", "reason", "tokens")]
        yield [
            (place, number % n, Sample(*values))
            for number, *values in zip(found.tolist(), *columns, strict=True)
            for place in of_number[number // n]
        ]


def _probed(
    prober: Prober, prompts: list[Prompt], n: int, seed: int, first: int
) -> Iterator[tuple[int, list[Sample] | None]]:
    """Yield what the prober yields, checked; close its iterator whatever happens."""
    seeds = [prompt_seed(prompt, seed) + first for prompt in prompts]
    left = set(range(len(prompts)))
    try:
        found = prober.probe(prompts, n=n, seeds=seeds)
        if not isinstance(found, Iterable):
            raise ModelError(f"the prober returned {type(found).__name__}, not an iterator")
        answers = iter(found)
        try:
            for answer in answers:
                place, samples = _checked(answer, left, n)
                left.discard(place)
                yield place, samples
        finally:
            if close := getattr(answers, "close", None):
                close()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the prober raised {type(error).__name__}: {error}") from error
    if left:
        raise ModelError(f"the prober left out {len(left)} of {len(prompts)} prompts")


def _checked(answer: Any, left: set[int], n: int) -> tuple[int, list[Sample] | None]:
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Integral)):
        raise ModelError(f"the prober yielded {type(answer).__name__}, not (place, samples)")
    place, samples = int(answer[0]), answer[1]
    if place not in left:
        raise ModelError(f"the prober yielded place {place!r} twice, or a place that is no prompt")
    if samples is None:
        return place, None
    if not isinstance(samples, list) or not all(_is_sample(sample) for sample in samples):
        raise ModelError("the prober yielded something else than a list of rbic_hf.Sample")
    if len(samples) != n:
        raise ModelError(f"the prober yielded {len(samples)} samples for one prompt, not {n}")
    return place, samples


def _is_sample(sample: object) -> bool:
    return (
        isinstance(sample, Sample)
        and isinstance(sample.text, str)
        and isinstance(sample.finish_reason, str)
        and (
            sample.num_tokens is None
            or (isinstance(sample.num_tokens, int) and 0 <= sample.num_tokens < 2**31)
        )
    )


class _Writing:
    """Collects answers and puts them on disk every few prompts."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._seed = seed
        self._answers: list[tuple[list[str], list[Sample]]] = []
        self._last = time.monotonic()

    def add(self, prompt: Prompt, first: int, samples: list[Sample]) -> None:
        keys = rollout_keys(prompt, n=first + len(samples), seed=self._seed)[first:]
        self._answers.append((keys, samples))
        late = time.monotonic() - self._last > SECONDS_PER_FLUSH
        if late or len(self._answers) >= PROMPTS_PER_FLUSH:
            self.flush()

    def flush(self) -> None:
        samples = [sample for _, of_prompt in self._answers for sample in of_prompt]
        if samples:
            self._store.add(
                [key for keys, _ in self._answers for key in keys],
                {
                    "text": pa.array([_text(s.text) for s in samples], pa.string()),
                    "reason": pa.array([_text(s.finish_reason) for s in samples], pa.string()),
                    "tokens": pa.array([s.num_tokens for s in samples], pa.int32()),
                },
            )
            self._store.flush()
        self._answers = []
        self._last = time.monotonic()

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


class _Meter:
    """Says once, as soon as it is known, how many tokens and minutes the whole run takes.

    Engines yield prompt by prompt, or a batch at once and then nothing for a while.
    """

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total = total
        self._say = say
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first batch came, its rollouts
        self._last = self._started
        self._is_first_batch = True
        self._num_prompts = self._num_rollouts = self._num_tokens = 0
        self._told = False

    def count(self, samples: Sequence[Sample], n: int) -> None:
        now = time.monotonic()
        if self._first is not None:
            pause = now - self._last
            self._is_first_batch &= pause < BATCH_PAUSE_S
            if pause >= BATCH_PAUSE_S:
                self._tell_after_a_batch(pause)
            elif self._num_prompts >= PROMPTS_TO_MEASURE and now - self._first[0] > 5:
                self._tell(self._pace(now))
        self._num_prompts += 1
        self._num_rollouts += n
        self._num_tokens += sum(sample.num_tokens or 0 for sample in samples)
        self._last = now
        if self._is_first_batch:
            self._first = (self._first or (now, 0))[0], self._num_rollouts

    def _tell_after_a_batch(self, pause: float) -> None:
        """Tell from the batches that are complete; the one that comes now took the `pause`."""
        long_enough = self._last - self._started > SECONDS_TO_MEASURE
        if long_enough or self._num_prompts >= PROMPTS_TO_MEASURE:
            assert self._first is not None
            only_one = self._num_rollouts == self._first[1]
            # the first batch's own time holds the engine's start
            self._tell(pause / self._num_rollouts if only_one else self._pace(self._last))

    def _pace(self, now: float) -> float:
        """Return seconds per rollout since the first batch."""
        assert self._first is not None
        since, before = self._first
        return (now - since) / max(self._num_rollouts - before, 1)

    def _tell(self, pace: float) -> None:
        seconds = (self._total - self._num_rollouts) * pace
        if self._told or seconds < 5:
            return
        self._told = True
        tokens = ""
        if self._num_tokens:
            each = self._num_tokens / self._num_rollouts
            tokens = f"{each:.0f} tokens a rollout, about {each * self._total:,.0f} in all; "
        self._say(
            f"measured on {self._num_rollouts} of {self._total} rollouts: {tokens}"
            f"about {shown_time(seconds)} left"
        )


def shown_time(seconds: float) -> str:
    """Return a span of time as a person says it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _text(value: object) -> str:
    """Return a string that Arrow can hold: lone surrogates replaced."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
