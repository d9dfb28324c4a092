"""Which questions are asked, how often, and what came of it: rollouts and their grades."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from rbic_hf import cached, difficulty, engines, prompts, rollouts, tables
from rbic_hf.graders import Grader, OwnGrader
from rbic_hf.pool import Pool, is_own_column
from rbic_hf.probers.columns import ColumnProber
from rbic_hf.protocols import ENDED, Prober, Sample
from rbic_hf.request import Provenance, Request
from rbic_hf.rollouts import Prompt
from rbic_hf.store import Store, content_key

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

Ints = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

GRADED_AT_ONCE = 4000  # rollouts

# What probing made of a row: the values of `rbic_probe`.
MEASURED = "measured"
GIVEN = "given"
NOT_ASKED = "not_asked"
UNVERIFIABLE = "unverifiable"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rollouts:
    """What probing found, one value per row of the pool.

    Attributes:
        num_graded: (m,) rollouts that were graded.
        num_correct: (m,) of these, the right ones.
        num_unknown: (m,) rollouts cut off or not gradable.
        outcome: what probing made of the row; see `rbic_probe` in `columns.py`.
        texts: the generations; None where a row has none, or where they were not asked for.
    """

    num_graded: Ints
    num_correct: Ints
    num_unknown: Ints
    outcome: list[str]
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
    if isinstance(request.prober, ColumnProber):
        return _from_given_columns(request.prober, dataset, pool, made)
    has_texts = "rbic_generations" in dataset.column_names or not request.with_generations
    if (
        request.prober is None
        and has_texts
        and not isinstance(request.grader, OwnGrader)  # the columns hold another's verdicts
        and (found := _from_own_columns(dataset, pool, columns)) is not None
    ):
        logger.warning("prober: none; the columns rbic_rollouts and rbic_correct are used")
        made.prober = {"prober": "columns rbic_rollouts, rbic_correct"}
        return found
    gradable = np.array([request.grader.is_gradable(r.reference) for r in pool.readings])
    if not gradable.any():
        logger.warning("no row has an answer that can be graded: no pass rates and no tiers")
        return None
    asked = _prompts(pool, request)
    prober = engines.resolve_prober(request.prober, request.config)
    probed = _choose(asked, gradable, domain, group, prober, request)
    made.prober = dict(prober.spec)
    made.num_probed = len({_identity(asked[i]) for i in probed.tolist()})
    if len(probed) == 0:
        logger.warning("no row is probed: no pass rates and no tiers")
        return None
    store = Store.open(request.cache_dir, "rollouts", dict(prober.spec))
    while True:
        num_damaged = store.num_damaged
        problems = _ask(prober, store, [asked[i] for i in probed.tolist()], gradable, request)
        found = _grade(store, asked, probed, gradable, problems, pool, request)
        if store.num_damaged == num_damaged:  # else what was lost is asked again
            return found


def _prompts(pool: Pool, request: Request) -> list[Prompt]:
    return [
        prompts.prompt(
            r.question,
            language=r.language,
            reference=r.reference,
            instruction=request.config.instruction,
        )
        for r in pool.readings
    ]


def _from_given_columns(
    prober: ColumnProber, dataset: Dataset, pool: Pool, made: Provenance
) -> Rollouts:
    """Take the outcomes that the dataset's authors give."""
    values = {name: tables.values_of(dataset, name) for name in prober.columns}
    graded, correct = prober.counts(values, dataset.num_rows)
    graded, correct = graded[pool.places], correct[pool.places]
    made.prober = dict(prober.spec)
    made.num_probed = int((graded > 0).sum())
    logger.warning(
        "prober: none; %s of the dataset: %d of %d rows have a value",
        " and ".join(prober.columns), made.num_probed, len(graded),
    )  # fmt: skip
    main = values[str(prober.pass_rate or prober.num_correct)]
    num_odd = sum(
        main[i] is not None and not n
        for i, n in zip(pool.places.tolist(), graded.tolist(), strict=True)
    )
    if num_odd:
        logger.warning(
            "%d rows have a value that is ignored: pass rates lie between 0 and 1 (not percent), "
            "counts between 0 and the number of rollouts", num_odd,
        )  # fmt: skip
    outcome = [GIVEN if n else NOT_ASKED for n in graded.tolist()]
    return Rollouts(graded, correct, np.zeros_like(graded), outcome, [None] * len(graded))


def _from_own_columns(dataset: Dataset, pool: Pool, columns: dict[str, Any]) -> Rollouts | None:
    names = ("rbic_rollouts", "rbic_correct")
    if not all(name in dataset.column_names for name in names):
        return None
    if "rbic_key" in dataset.column_names and not is_own_column(
        dataset, "rbic_rollouts", columns, pool
    ):
        return None

    def counts(name: str) -> Ints:
        return np.array([value or 0 for value in _at(dataset, name, pool)], np.int32)

    graded = counts("rbic_rollouts")
    if not graded.any():
        return None
    outcome = [
        was or (MEASURED if n else NOT_ASKED)
        for n, was in zip(graded.tolist(), _at(dataset, "rbic_probe", pool), strict=True)
    ]
    return Rollouts(
        graded,
        np.minimum(counts("rbic_correct"), graded),
        counts("rbic_unknown"),
        outcome,
        _at(dataset, "rbic_generations", pool),
    )


def _at(dataset: Dataset, column: str, pool: Pool) -> list[Any]:
    """Return the pool's values of a column; None where there is no such column."""
    if column not in dataset.column_names:
        return [None] * len(pool.places)
    values = tables.values_of(dataset, column)
    return [values[i] for i in pool.places.tolist()]


def _choose(
    asked: Sequence[Prompt],
    gradable: npt.NDArray[np.bool_],
    domain: Ints,
    group: Ints,
    prober: Prober,
    request: Request,
) -> Rows:
    """Return the rows to probe: one question of each duplicate group, spread over the domains.

    Rows that ask exactly what a chosen row asks are in it too: their rollouts cost nothing.
    """
    seed = str(request.config.seed)
    draws = [content_key(_identity(messages), seed) for messages in asked]
    rows = np.array(sorted(np.flatnonzero(gradable).tolist(), key=draws.__getitem__))
    _, first = np.unique(group[rows], return_index=True)
    heads = rows[np.sort(first)]
    order = heads[difficulty.probe_order(domain[heads], [draws[i] for i in heads.tolist()])]
    chosen = order[: engines.probe_limit(request.config, len(heads), prober)]
    prompts_chosen = {_identity(asked[i]) for i in chosen}
    return np.array(
        [i for i in np.sort(rows).tolist() if _identity(asked[i]) in prompts_chosen], dtype=np.int64
    )


def _identity(messages: Prompt) -> str:
    return "\0".join(message["content"] for message in messages)


def _ask(
    prober: Prober,
    store: Store,
    asked: Sequence[Prompt],
    gradable: npt.NDArray[np.bool_],
    request: Request,
) -> dict[str, str]:
    """Say what it will cost, then ask what the store does not hold; return what went wrong."""
    config = request.config
    wanted = rollouts.missing(store, asked, n=config.num_rollouts, seed=config.seed)
    num_questions = len({_identity(messages) for messages in asked})
    if not wanted.prompts:
        logger.warning("all %d questions to ask were answered before", num_questions)
        return {}
    longest = prober.spec.get("max_new_tokens")
    longest = longest if isinstance(longest, int) else None
    logger.warning(
        "probing %d questions of %d gradable rows, the others' pass rates are predicted: "
        "%d answered before, %d to ask, %d rollouts%s with %s",
        num_questions, gradable.sum(), num_questions - len(wanted.prompts), len(wanted.prompts),
        wanted.num_rollouts,
        f", at most {wanted.num_rollouts * longest:,} tokens," if longest else "",
        prober.spec.get("prober", "your own prober"),
    )  # fmt: skip
    try:
        problems = rollouts.ask(prober, store, wanted, seed=config.seed)
    finally:
        if request.is_prober_ours and (close := getattr(prober, "close", None)):
            close()  # an engine that was started here gives its memory back
    for word, what in (("too_long", "longer than the model reads"), ("failed", "failed")):
        if count := sum(problem == word for problem in problems.values()):
            logger.warning("%d questions were not answered: %s", count, what)
    return problems


def _grade(
    store: Store,
    asked: Sequence[Prompt],
    probed: Rows,
    gradable: npt.NDArray[np.bool_],
    problems: dict[str, str],
    pool: Pool,
    request: Request,
) -> Rollouts:
    """Grade what ended by itself; a generation that was cut off is unknown, not wrong."""
    n, seed = request.config.num_rollouts, request.config.seed
    prompts_probed = [asked[i] for i in probed.tolist()]
    tally = _Tally(pool, request)
    with tqdm(total=len(probed) * n, desc="Grading", unit="rollout", leave=False) as bar:
        for found in rollouts.read(store, prompts_probed, n=n, seed=seed):
            tally.add([(int(probed[place]), index, sample) for place, index, sample in found])
            bar.update(len(found))
        tally.grade()
    outcome = [NOT_ASKED if can else UNVERIFIABLE for can in gradable.tolist()]
    for i, messages in zip(probed.tolist(), prompts_probed, strict=True):
        key = rollouts.rollout_keys(messages, n=1, seed=seed)[0]
        outcome[i] = MEASURED if tally.graded[i] else problems.get(key, UNKNOWN)
    if num_unknown := int(tally.unknown.sum()):
        logger.warning(
            "%d of %d rollouts are unknown: cut off (raise max_new_tokens), or not gradable",
            num_unknown, num_unknown + tally.graded.sum(),
        )  # fmt: skip
    return Rollouts(tally.graded, tally.correct, tally.unknown, outcome, tally.ordered_texts())


class _Tally:
    """Counts the verdicts of rollouts that come in parts."""

    def __init__(self, pool: Pool, request: Request) -> None:
        self._references = [reading.reference for reading in pool.readings]
        self._grader: Grader = request.grader
        self._store = Store.open(request.cache_dir, "verdicts", request.grader.spec)
        self._waiting: list[tuple[int, str]] = []
        self._texts: dict[int, dict[int, str]] | None = {} if request.with_generations else None
        self.graded, self.correct, self.unknown = (
            np.zeros(len(pool.readings), np.int32) for _ in range(3)
        )

    def add(self, found: list[tuple[int, int, Sample]]) -> None:
        for row, index, sample in found:
            if sample.finish_reason == ENDED:
                self._waiting.append((row, sample.text))
            else:
                self.unknown[row] += 1
            if self._texts is not None:
                self._texts.setdefault(row, {})[index] = sample.text
        if len(self._waiting) >= GRADED_AT_ONCE:
            self.grade()

    def grade(self) -> None:
        judged = cached.verdicts(
            self._grader,
            self._store,
            [self._references[row] for row, _ in self._waiting],
            [text for _, text in self._waiting],
        )
        for (row, _), verdict in zip(self._waiting, judged, strict=True):
            self.graded[row] += verdict is not None
            self.correct[row] += verdict is True
            self.unknown[row] += verdict is None
        self._waiting = []

    def ordered_texts(self) -> list[list[str] | None]:
        if self._texts is None:
            return [None] * len(self.graded)
        found = (self._texts.get(row) for row in range(len(self.graded)))
        return [None if of_row is None else [of_row[k] for k in sorted(of_row)] for of_row in found]
