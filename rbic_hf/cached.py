"""What is computed once per content: token counts, vectors, verdicts. (Rollouts: `rollouts.py`.)"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm.auto import tqdm

from rbic_hf import embed, grading
from rbic_hf.graders import Grader
from rbic_hf.probers.likelihood import Likelihoods, LikelihoodScorer, Passage
from rbic_hf.protocols import Encoder
from rbic_hf.store import Store, content_key
from rbic_hf.tokens import TokenCounter

logger = logging.getLogger("rbic_hf")

Compute = Callable[[list[int]], Mapping[str, Any]]

LASTING = "lasting"  # not a column: which of the results hold beyond this run


def remembered(
    store: Store,
    keys: Sequence[str],
    compute: Compute,
    *,
    batch_size: int,
    desc: str | None,
    lengths: Sequence[int] | None = None,
) -> pa.Table:
    """Return the stored results of `keys`, in their order; what is missing is computed first.

    Args:
        store: where results are found and kept.
        keys: content keys; equal keys are computed once.
        compute: maps places in `keys` to columns of results.
        batch_size: places per call of `compute`.
        desc: title of the progress bar, which appears only when something is missing; None: no bar.
        lengths: sort key of the missing ones, longest first: batches of one length pad little, the
            remaining time is never underestimated, and what does not fit fails at once.
    """
    while True:
        missing = missing_places(store, keys)
        if lengths is not None:
            missing.sort(key=lambda i: -lengths[i])
        if missing:
            with (
                store,
                tqdm(total=len(missing), desc=desc, unit="row", disable=desc is None) as bar,
            ):
                for start in range(0, len(missing), batch_size):
                    places = missing[start : start + batch_size]
                    columns = dict(compute(places))
                    lasting = columns.pop(LASTING, None)
                    store.add([keys[i] for i in places], columns, lasting=lasting)
                    bar.update(len(places))
        known, table = store.find(keys)
        if known.all():
            assert table is not None
            return table
        # a part turned out to be damaged, and its results are missing too


def missing_places(store: Store, keys: Sequence[str]) -> list[int]:
    """Return the first place of each distinct key that the store does not hold yet."""
    first: dict[str, int] = {}
    for i in np.flatnonzero(~store.known(keys)).tolist():
        first.setdefault(keys[i], i)
    return list(first.values())


def token_counts(
    counter: TokenCounter,
    store: Store,
    keys: Sequence[str],
    questions: Sequence[str],
    responses: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Return the tokens of each row, (n,)."""

    def compute(places: list[int]) -> Mapping[str, Any]:
        counts = counter.count([questions[i] for i in places], [responses[i] for i in places])
        return {"tokens": pa.array(counts, pa.int64())}

    if not keys:
        return np.zeros(0, np.int64)
    table = remembered(store, keys, compute, batch_size=2000, desc="Counting tokens")
    return np.asarray(table["tokens"].to_numpy(), np.int64)


def likelihoods(
    scorer: LikelihoodScorer,
    store: Store,
    passages: Sequence[Passage],
    *,
    tell: Callable[[int, int], None] = lambda read, chars: None,
) -> Likelihoods:
    """Return the terms of each passage, (n,) each; NaN: not to be had.

    `tell` is called after each batch that is read, with its passages and their characters.
    """

    def compute(places: list[int]) -> Mapping[str, Any]:
        found = scorer.score([passages[i] for i in places])
        tell(len(places), sum(lengths[i] for i in places))
        return {name: pa.array(values) for name, values in found._asdict().items()}

    lengths = [len(p.question) + len(p.response) for p in passages]
    keys = passage_keys(passages)
    if not keys:
        return Likelihoods(*(np.zeros(0) for _ in Likelihoods._fields))
    table = remembered(
        store, keys, compute, batch_size=64, desc="Reading responses", lengths=lengths
    )
    return Likelihoods(*(table[name].to_numpy() for name in Likelihoods._fields))


def passage_keys(passages: Sequence[Passage]) -> list[str]:
    """Return the content keys of passages: all that the scorer sees."""
    return [
        content_key(p.question, p.response, str(p.reasoning), p.answer or "", p.language)
        for p in passages
    ]


def embeddings(
    encoder: Encoder, store: Store, questions: Sequence[str], *, batch_size: int = 512
) -> tuple[embed.Vectors, list[bool | None]]:
    """Return unit vectors (n, d), NaN rows where the encoder failed, and what it cut off."""
    keys = [content_key(question) for question in questions]

    def compute(places: list[int]) -> Mapping[str, Any]:
        texts = [questions[i] for i in places]
        vectors = embed.unit_vectors(encoder, texts)
        flat = pa.array(vectors.ravel(), pa.float32())
        return {
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            "cut": pa.array(embed.cut_off(encoder, texts), pa.bool_()),
            LASTING: embed.usable(vectors).tolist(),
        }

    table = remembered(
        store,
        keys,
        compute,
        batch_size=batch_size,
        desc="Embedding",
        lengths=[len(question) for question in questions],
    )
    vectors = table["vector"].combine_chunks()
    return (
        vectors.flatten().to_numpy().reshape(len(questions), -1),
        table["cut"].to_pylist(),
    )


def verdicts(
    grader: Grader,
    store: Store,
    references: Sequence[str | None],
    answers: Sequence[str],
    *,
    desc: str | None = None,
) -> list[grading.Verdict]:
    """Return whether each answer equals its reference; None = nobody can say.

    A bar is shown when it has a title.
    """
    pairs = zip(references, answers, strict=True)
    keys = [content_key(answer, *([] if ref is None else [ref])) for ref, answer in pairs]

    def compute(places: list[int]) -> Mapping[str, Any]:
        judged = grader.grade([references[i] for i in places], [answers[i] for i in places])
        return {
            "correct": pa.array(judged, pa.bool_()),
            LASTING: [verdict is not None for verdict in judged],
        }

    if not keys:
        return []
    found = remembered(store, keys, compute, batch_size=2000, desc=desc)["correct"].to_pylist()
    return list(found)
