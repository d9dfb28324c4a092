"""Accuracy of generated answers, judged by what also judges the rollouts.

    from rbic_hf.rbic_accuracy import accuracy
    accuracy(predictions=["so \\\\boxed{4}"], references=["4"])

    import evaluate, rbic_hf.rbic_accuracy
    metric = evaluate.load(rbic_hf.rbic_accuracy.__file__)
    metric.compute(predictions=["so \\\\boxed{4}"], references=["4"])

The class below exists only where `evaluate` loads this file, so that importing the function does
not cost the ten seconds that importing evaluate takes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rbic_hf.errors import DataError
from rbic_hf.graders import resolve_grader

logger = logging.getLogger("rbic_hf")


def accuracy(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str],
    *,
    grader: Any = None,
) -> dict[str, float | int | None]:
    """Return how many answers are right, one answer per item or several (avg@k).

    Args:
        predictions: a generated text per item, or a list of them.
        references: the right answer of each item.
        grader: `(reference, answer) -> True, False or None`; None: the project's own.

    Returns:
        accuracy: mean over items of the share of right ones among the graded; in [0, 1], higher is
            better; None when nothing could be graded.
        stderr: its standard error over items; None below two items.
        num_items: items with a graded answer.
        num_graded: answers that were graded.
        num_correct: of these, the right ones.
        num_unknown: answers that nobody can judge; they count neither as right nor as wrong.

    Raises:
        DataError: predictions and references differ in number, or are no texts.
    """
    if len(predictions) != len(references):
        raise DataError(f"{len(predictions)} predictions for {len(references)} references")
    for name, values in (("predictions", predictions), ("references", references)):
        odd = [v for v in values if not isinstance(v, str | list | tuple)]
        if odd or (name == "references" and not all(isinstance(v, str) for v in values)):
            raise DataError(f"{name} must be texts, not {type((odd or list(values))[0]).__name__}")
    answers = [[p] if isinstance(p, str) else list(p) for p in predictions]
    pairs = [(ref, a) for ref, of_item in zip(references, answers, strict=True) for a in of_item]
    judge = resolve_grader(grader)
    # GSM8K keeps the solution before the answer
    short = [ref if grader else ref.rpartition("####")[2].strip() for ref, _ in pairs]
    judged = judge.grade(short, [answer for _, answer in pairs])
    item = np.repeat(np.arange(len(answers)), [len(of_item) for of_item in answers])
    graded = np.array([verdict is not None for verdict in judged], bool)
    right = np.array([verdict is True for verdict in judged], bool)
    num_graded = np.bincount(item, graded, len(answers))
    num_right = np.bincount(item, right, len(answers))
    if not graded.all():
        logger.warning(
            "%d of %d answers cannot be judged and count neither as right nor as wrong",
            (~graded).sum(), len(graded),
        )  # fmt: skip
    shares = num_right[num_graded > 0] / num_graded[num_graded > 0]
    return {
        "accuracy": float(shares.mean()) if len(shares) else None,
        "stderr": float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else None,
        "num_items": len(shares),
        "num_graded": int(graded.sum()),
        "num_correct": int(right.sum()),
        "num_unknown": int((~graded).sum()),
    }


if "evaluate" in sys.modules:
    import datasets
    import evaluate

    class RbicAccuracy(evaluate.Metric):  # type: ignore[misc]
        """`accuracy` as a metric of evaluate; predictions are texts or lists of texts."""

        def _info(self) -> Any:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description="Share of right answers, judged by rbic_hf's grader.",
                citation="",
                inputs_description=accuracy.__doc__ or "",
                features=[
                    datasets.Features({"predictions": text, "references": text}),
                    datasets.Features({"predictions": datasets.List(text), "references": text}),
                ],
            )

        def _compute(
            self, predictions: Any, references: Any, **kwargs: Any
        ) -> dict[str, float | int | None]:
            return accuracy(predictions, references, **kwargs)
