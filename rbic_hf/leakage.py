"""Which rows are questions of a benchmark, and by which of them: these are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np

from rbic_hf import decontamination, embed
from rbic_hf.columns import CONTAMINATED
from rbic_hf.pool import Pool, check_any_clean
from rbic_hf.request import Request

COLUMN = "rbic_contaminated_by"

Cut = list[bool | None]


def without_copies(pool: Pool, columns: dict[str, Any], request: Request) -> Pool:
    """Return the pool without the rows that share words in a row with a benchmark question.

    Raises:
        DataError: no row is left.
    """
    if not request.benchmarks:
        return pool
    columns[COLUMN] = [None] * pool.num_rows
    questions = [question for b in request.benchmarks for question in b.questions]
    found = decontamination.shared_words(
        pool.questions, questions, ngram=request.config.benchmark_ngram
    )
    kinds = [f"{length}-gram" if length else "copy" for length in found.num_words.tolist()]
    return pool.take(_set_aside(pool, columns, request, found.which, kinds))


def without_near_copies(
    pool: Pool,
    vectors: embed.Vectors,
    cut: Cut,
    benchmarks: embed.Vectors,
    columns: dict[str, Any],
    request: Request,
) -> tuple[Pool, embed.Vectors, Cut]:
    """Return pool, vectors and `cut` without the rows that are near-duplicates of benchmarks'.

    Args:
        pool: m rows, none of which shares words in a row with a benchmark question.
        vectors: (m, d), theirs.
        cut: m, theirs.
        benchmarks: (questions, d) of all benchmarks; NaN where there is no question.
        columns: the columns so far, in which these rows are marked.
        request: names the benchmarks, and the cosine of a near-duplicate.

    Raises:
        DataError: no row is left.
    """
    usable = np.flatnonzero(embed.usable(benchmarks))
    if not len(usable):
        return pool, vectors, cut
    which, cosines = decontamination.near_copies(
        vectors, benchmarks[usable], threshold=request.config.duplicate_threshold
    )
    which = np.where(which < 0, -1, usable[which])
    kinds = [f"cosine {cosine:.3f}" for cosine in cosines.tolist()]
    keep = _set_aside(pool, columns, request, which, kinds)
    kept_cut = [was_cut for was_cut, kept in zip(cut, keep.tolist(), strict=True) if kept]
    return pool.take(keep), vectors[keep], kept_cut


def _set_aside(
    pool: Pool,
    columns: dict[str, Any],
    request: Request,
    which: decontamination.Rows,
    kinds: list[str],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mark the rows that have a benchmark question; return which rows have none, (m,)."""
    names = [f"{b.name}:{row}" for b in request.benchmarks for row in range(len(b.questions))]
    for at in np.flatnonzero(which >= 0).tolist():
        row = int(pool.places[at])
        columns["rbic_status"][row] = CONTAMINATED
        columns[COLUMN][row] = f"{kinds[at]} {names[which[at]]}"
    check_any_clean(columns["rbic_status"])
    return np.asarray(which < 0)
