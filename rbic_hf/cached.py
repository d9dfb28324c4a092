"""The costly stages, each computed once per content: token counts, vectors, rollouts, verdicts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm.auto import tqdm

from rbic_hf import embed, grading
from rbic_hf.errors import ModelError
from rbic_hf.protocols import ChatMessage, Encoder, Prober, Sample
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
    desc: str,
    lengths: Sequence[int] | None = None,
    unit: str = "row",
) -> pa.Table:
    """Return the stored results of `keys`, in their order; what is missing is computed first.

    Args:
        store: where results are found and kept.
        keys: content keys; equal keys are computed once.
        compute: maps places in `keys` to columns of results.
        batch_size: places per call of `compute`.
        desc: title of the progress bar, which appears only when something is missing.
        lengths: sort key of the missing ones, longest first: batches of one length pad little, the
            remaining time is never underestimated, and what does not fit fails at once.
        unit: what the progress bar counts.
    """
    known, _ = store.find(keys)
    first: dict[str, int] = {}
    for i in np.flatnonzero(~known).tolist():
        first.setdefault(keys[i], i)
    missing = list(first.values())
    if lengths is not None:
        missing.sort(key=lambda i: -lengths[i])
    if missing:
        with store, tqdm(total=len(missing), desc=desc, unit=unit) as bar:
            for start in range(0, len(missing), batch_size):
                places = missing[start : start + batch_size]
                columns = dict(compute(places))
                lasting = columns.pop(LASTING, None)
                store.add([keys[i] for i in places], columns, lasting=lasting)
                bar.update(len(places))
    _, table = store.find(keys)
    assert table is not None and len(table) == len(keys)
    return table


def num_missing(store: Store, keys: Sequence[str]) -> int:
    """Return how many distinct keys the store does not hold yet."""
    known, _ = store.find(keys)
    return len({keys[i] for i in np.flatnonzero(~known).tolist()})


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


def prompt_seed(messages: list[ChatMessage], seed: int) -> int:
    """Return the seed of a prompt's rollouts, from its content: rows may move, rollouts stay."""
    text = json.dumps([messages, seed], ensure_ascii=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little") >> 1


def rollout_keys(prompts: Sequence[list[ChatMessage]], *, n: int, seed: int) -> list[str]:
    """Return the store keys of the prompts' rollouts."""
    return [content_key(json.dumps([p, n, prompt_seed(p, seed)])) for p in prompts]


def rollouts(
    prober: Prober,
    store: Store,
    prompts: Sequence[list[ChatMessage]],
    *,
    n: int,
    seed: int,
    batch_size: int,
) -> list[list[Sample] | None]:
    """Return `n` samples per prompt; None = not probed.

    Raises:
        ModelError: the prober raised or returned something else; what it had already returned is
            kept, and the next run goes on from there.
    """

    def compute(places: list[int]) -> Mapping[str, Any]:
        asked = [prompts[i] for i in places]
        seeds = [prompt_seed(p, seed) for p in asked]
        try:
            answers = prober.probe(asked, n=n, seeds=seeds)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"the prober raised {type(error).__name__}: {error}") from error
        _check_answers(answers, len(asked), n)
        texts = [None if a is None else [_text(s.text) for s in a] for a in answers]
        reasons = [None if a is None else [_text(s.finish_reason) for s in a] for a in answers]
        strings = pa.list_(pa.string())
        return {
            "texts": pa.array(texts, strings),
            "reasons": pa.array(reasons, strings),
            LASTING: [text is not None for text in texts],
        }

    if not prompts:
        return []
    table = remembered(
        store,
        rollout_keys(prompts, n=n, seed=seed),
        compute,
        batch_size=batch_size,
        desc="Probing",
        lengths=[sum(len(message["content"]) for message in prompt) for prompt in prompts],
        unit="question",
    )
    return [
        None if texts is None else [Sample(*pair) for pair in zip(texts, reasons, strict=True)]
        for texts, reasons in zip(
            table["texts"].to_pylist(), table["reasons"].to_pylist(), strict=True
        )
    ]


def verdicts(
    store: Store, references: Sequence[str | None], answers: Sequence[str], *, desc: str
) -> list[grading.Verdict]:
    """Return whether each answer equals its reference; None = nobody can say."""
    pairs = zip(references, answers, strict=True)
    keys = [content_key(answer, *([] if ref is None else [ref])) for ref, answer in pairs]

    def compute(places: list[int]) -> Mapping[str, Any]:
        judged = grading.grade([references[i] for i in places], [answers[i] for i in places])
        return {
            "correct": pa.array(judged, pa.bool_()),
            LASTING: [verdict is not None for verdict in judged],
        }

    if not keys:
        return []
    found = remembered(store, keys, compute, batch_size=2000, desc=desc)["correct"].to_pylist()
    return list(found)


def _check_answers(answers: Any, num_prompts: int, n: int) -> None:
    if not isinstance(answers, list) or len(answers) != num_prompts:
        got = len(answers) if isinstance(answers, list) else type(answers).__name__
        raise ModelError(f"the prober returned {got} for {num_prompts} prompts; one list each")
    for samples in answers:
        if samples is None:
            continue
        if not isinstance(samples, list) or not all(isinstance(s, Sample) for s in samples):
            raise ModelError("the prober returned something else than a list of rbic_hf.Sample")
        if len(samples) != n:
            raise ModelError(f"the prober returned {len(samples)} samples for one prompt, not {n}")


def _text(value: object) -> str:
    """Return a string that Arrow can hold: lone surrogates replaced."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
