"""Which questions are asked, how often, and what came of it: rollouts and their grades."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rbic_hf import cached, difficulty, engines, grading, probe, prompts, tables
from rbic_hf.pool import Pool, is_own_column
from rbic_hf.protocols import ChatMessage, Prober, Sample
from rbic_hf.request import Provenance, Request
from rbic_hf.store import Store, content_key

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

Ints = npt.NDArray[np.int32]

QUESTIONS_PER_CALL = 16  # on a CPU about a minute of work, so that little is lost when it is killed


@dataclass(frozen=True)
class Rollouts:
    """What probing found, one value per row of the pool.

    Attributes:
        num_graded: (m,) rollouts that were graded.
        num_correct: (m,) of these, the right ones.
        num_unknown: (m,) rollouts cut off or not gradable.
        texts: the generations; None where a row was not probed.
    """

    num_graded: Ints
    num_correct: Ints
    num_unknown: Ints
    texts: list[list[str] | None]


def probe_pool(
    dataset: Dataset,
    pool: Pool,
    columns: dict[str, Any],
    domain: Ints,
    group: Ints,
    request: Request,
    made: Provenance,
) -> Rollouts | None:
    """Return the rollouts of the pool; None when probing is off or nobody can grade any row.

    A dataset that already has `rbic_rollouts` and `rbic_correct` is not probed again unless a
    prober is named.
    """
    if not request.probe:
        logger.warning("probing is off: no pass rates and no tiers")
        return None
    has_texts = "rbic_generations" in dataset.column_names or not request.with_generations
    if (
        request.prober is None
        and has_texts
        and (found := _from_columns(dataset, pool, columns)) is not None
    ):
        logger.warning("prober: none; the columns rbic_rollouts and rbic_correct are used")
        made.prober = {"prober": "columns rbic_rollouts, rbic_correct"}
        return found
    references = [reading.reference for reading in pool.readings]
    gradable = np.array([grading.is_gradable(reference) for reference in references])
    if not gradable.any():
        logger.warning("no row has an answer that can be graded: no pass rates and no tiers")
        return None
    asked = [
        prompts.prompt(
            r.question,
            language=r.language,
            reference=r.reference,
            instruction=request.config.instruction,
        )
        for r in pool.readings
    ]
    prober = engines.resolve_prober(request.prober, request.config)
    probed = _choose(asked, gradable, domain, group, prober, request)
    made.prober = dict(prober.spec)
    made.num_probed = len(set(_keys(asked, probed, request)))
    if len(probed) == 0:
        logger.warning("no row is probed: no pass rates and no tiers")
        return None
    samples = _ask(prober, asked, probed, int(gradable.sum()), request)
    return _grade(samples, probed, references, request)


def _from_columns(dataset: Dataset, pool: Pool, columns: dict[str, Any]) -> Rollouts | None:
    names = ("rbic_rollouts", "rbic_correct")
    if not all(name in dataset.column_names for name in names):
        return None
    if "rbic_key" in dataset.column_names and not is_own_column(
        dataset, "rbic_rollouts", columns, pool
    ):
        return None

    def counts(name: str) -> Ints:
        if name not in dataset.column_names:
            return np.zeros(len(pool.places), np.int32)
        values = tables.values_of(dataset, name)
        return np.array([values[i] or 0 for i in pool.places], np.int32)

    graded = counts("rbic_rollouts")
    if not graded.any():
        return None
    correct = np.minimum(counts("rbic_correct"), graded)
    texts: list[Any] = [None] * dataset.num_rows
    if "rbic_generations" in dataset.column_names:
        texts = tables.values_of(dataset, "rbic_generations")
    chosen = [texts[i] for i in pool.places.tolist()]
    return Rollouts(graded, correct, counts("rbic_unknown"), chosen)


def _choose(
    asked: Sequence[list[ChatMessage]],
    gradable: npt.NDArray[np.bool_],
    domain: Ints,
    group: Ints,
    prober: Prober,
    request: Request,
) -> npt.NDArray[np.int64]:
    """Return the rows to probe: one question of each duplicate group, spread over the domains.

    Rows that ask exactly what a chosen row asks are in it too: their rollouts cost nothing.
    """
    seed = str(request.config.seed)
    draws = [content_key(_identity(messages), seed) for messages in asked]
    rows = np.array(sorted(np.flatnonzero(gradable).tolist(), key=draws.__getitem__))
    _, first = np.unique(group[rows], return_index=True)
    heads = rows[np.sort(first)]
    order = heads[difficulty.probe_order(domain[heads], [draws[i] for i in heads.tolist()])]
    local = isinstance(prober, probe.TransformersProber)
    chosen = order[: engines.probe_limit(request.config, len(heads), local=local)]
    prompts_chosen = {_identity(asked[i]) for i in chosen}
    return np.array(
        [i for i in np.sort(rows).tolist() if _identity(asked[i]) in prompts_chosen], dtype=np.int64
    )


def _identity(messages: list[ChatMessage]) -> str:
    return "\0".join(message["content"] for message in messages)


def _keys(
    asked: Sequence[list[ChatMessage]], probed: npt.NDArray[np.int64], request: Request
) -> list[str]:
    config = request.config
    return cached.rollout_keys([asked[i] for i in probed], n=config.num_rollouts, seed=config.seed)


def _ask(
    prober: Prober,
    asked: Sequence[list[ChatMessage]],
    probed: npt.NDArray[np.int64],
    num_gradable: int,
    request: Request,
) -> list[list[Sample] | None]:
    """Say what will be asked and how long it takes, then ask what the store does not hold."""
    config = request.config
    store = Store.open(request.cache_dir, "rollouts", dict(prober.spec))
    keys = _keys(asked, probed, request)
    missing = cached.num_missing(store, keys)
    if missing:
        known, _ = store.find(keys)
        todo = [asked[i] for i in probed[~known]]
        logger.warning(
            "probing %d questions of %d gradable rows, rollouts of each: %d (%s); "
            "the other rows' pass rates are predicted%s",
            missing, num_gradable, config.num_rollouts, prober.spec.get("prober", "own prober"),
            _time_estimate(prober, todo, missing, config.num_rollouts),
        )  # fmt: skip
    size = getattr(prober, "batch_size", None)
    per_call = max(1, size // config.num_rollouts) if size else QUESTIONS_PER_CALL
    return cached.rollouts(
        prober,
        store,
        [asked[i] for i in probed],
        n=config.num_rollouts,
        seed=config.seed,
        batch_size=per_call,
    )


def _time_estimate(
    prober: Prober, todo: list[list[ChatMessage]], num_questions: int, n: int
) -> str:
    if not isinstance(prober, probe.TransformersProber):
        return ""
    speed = prober.tokens_per_second(todo, n=n)
    longest = num_questions * n * int(prober.spec["max_new_tokens"])
    seconds = longest / speed
    shown = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"; {speed:.0f} tokens/s measured, so at most {shown}"


def _grade(
    samples: list[list[Sample] | None],
    probed: npt.NDArray[np.int64],
    references: Sequence[str | None],
    request: Request,
) -> Rollouts:
    """Grade what ended by itself; a generation that was cut off is unknown, not wrong."""
    m = len(references)
    graded, correct, unknown = (np.zeros(m, np.int32) for _ in range(3))
    texts: list[list[str] | None] = [None] * m
    places: list[int] = []
    answers: list[str] = []
    for row, of_row in zip(probed.tolist(), samples, strict=True):
        if of_row is None:
            continue
        texts[row] = [sample.text for sample in of_row]
        for sample in of_row:
            if sample.finish_reason == "length":
                unknown[row] += 1
            else:
                places.append(row)
                answers.append(sample.text)
    store = Store.open(request.cache_dir, "verdicts", {"grade": grading.VERSION})
    judged = cached.verdicts(store, [references[i] for i in places], answers, desc="Grading")
    for row, verdict in zip(places, judged, strict=True):
        graded[row] += verdict is not None
        correct[row] += verdict is True
        unknown[row] += verdict is None
    if unknown.any():
        logger.warning(
            "%d of %d rollouts are unknown: cut off (raise max_new_tokens), or not gradable",
            unknown.sum(), unknown.sum() + graded.sum(),
        )  # fmt: skip
    return Rollouts(graded, correct, unknown, texts)
