"""What a small model says of responses: against right and wrong solutions, length and depth.

python benchmarks/model_terms.py [--quick]     23 minutes on two cores that others use too

SmolLM2-135M in bfloat16. A sample of labels/step_errors (half of it rows that have a gold answer;
the others are asked for the answer that they end in) tells right solutions from wrong ones: the
area under the curve (AUC) of each term, as it is and after what is usual at its length is taken
off, as in the contribution; .5 is chance. That correction is coarse on 40 rows: log_tokens itself
shows what it leaves. A sample of GSM8K tells what the terms follow (Spearman).
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from recording import finish, rows_of
from scipy.stats import rankdata, spearmanr

from rbic_hf import contribution, demo, formats, layouts, steps
from rbic_hf.likelihood_columns import passage_of
from rbic_hf.probers import likelihood, reasoning
from rbic_hf.probers.likelihood import LikelihoodScorer, Passage

# as the command line does: threads that spin while they wait starve each other on a busy machine
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

SHARES = (0.005, 0.05, 0.2, 1.0)
Values = npt.NDArray[np.float64]


class Found(NamedTuple):
    """The terms by name, each (n,), and how long reading took."""

    terms: dict[str, Values]
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows")
    args = parser.parse_args()
    num_labelled, num_plain = (12, 6) if args.quick else (80, 40)
    with tempfile.TemporaryDirectory() as folder:
        demo.export_prober(Path(folder))
        scorer = LikelihoodScorer(folder, name="SmolLM2-135M", revision="packaged", device="cpu")
        figures = {"labels": labelled(scorer, num_labelled), "gsm8k": plain(scorer, num_plain)}
    finish("model_terms", figures)


def labelled(scorer: LikelihoodScorer, num_rows: int) -> dict[str, Any]:
    rows = rows_of("labels/step_errors")
    random.Random(0).shuffle(rows)
    gold = [row for row in rows if row.get("gold") is not None][: num_rows // 2]
    rows = gold + [row for row in rows if row.get("gold") is None][: num_rows - len(gold)]
    readings = read(
        [
            {"question": r["question"], "response": "\n".join(r["steps"]), "answer": r.get("gold")}
            for r in rows
        ]
    )
    found = terms_of(scorer, readings)
    right = np.array([row["final_answer_correct"] for row in rows])
    has_gold = np.array([row.get("gold") is not None for row in rows])
    figures: dict[str, Any] = {"rows": len(rows), "seconds": round(found.seconds)}
    for name, values in found.terms.items():
        for of, wanted in (("", has_gold), ("_no_gold", ~has_gold)):
            figures[name + of] = aucs(values, found.terms["log_tokens"], right, wanted)
            print(f"{name + of:28}", figures[name + of], flush=True)
    return figures


def plain(scorer: LikelihoodScorer, num_rows: int) -> dict[str, Any]:
    rows = random.Random(0).sample(rows_of("pools/gsm8k_train"), num_rows)
    found = terms_of(scorer, read(rows))
    figures: dict[str, Any] = {
        "rows": num_rows,
        "rows_per_s": round(num_rows / found.seconds, 3),
        "tokens_per_s": round(float(found.terms["num_read"].sum()) / found.seconds, 1),
    }
    for name, values in found.terms.items():
        known = np.isfinite(values)
        figures[name] = {
            other: round(float(spearmanr(values[known], found.terms[other][known])[0]), 3)
            for other in ("log_tokens", "depth")
        } | {"rows": int(known.sum()), "median": round(float(np.median(values[known])), 3)}
        print(f"{name:28}", figures[name], flush=True)
    return figures


def read(rows: list[dict[str, Any]]) -> list[formats.Reading]:
    layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
    return [formats.read_row(layout, row) for row in rows]


def terms_of(scorer: LikelihoodScorer, readings: list[formats.Reading]) -> Found:
    """Return all terms and their variants, from one reading of each row."""
    started = time.monotonic()
    texts = [text for reading in readings for text in texts_of(scorer, reading)]
    size = 32
    found = []
    for start in range(0, len(texts), size):
        found += scorer._read(texts[start : start + size])
        print(
            f"{start + size} of {len(texts)} texts, {time.monotonic() - started:.0f} s", flush=True
        )
    given, alone = found[0::2], found[1::2]
    asked = [text.asked for text in texts[0::2]]
    terms: dict[str, Values] = {
        "ifd": np.array([np.exp(g.nll - a.nll) for g, a in zip(given, alone, strict=True)]),
        "nll": np.array([g.nll for g in given]),
    }
    for share in SHARES:
        sums = [likelihood.high_entropy_sum(g.entropies, share) for g in given]
        terms[f"entropy_{share}"] = np.array(sums)
    terms["entropy_mean"] = np.array([g.entropies.mean() for g in given])
    for k, name in enumerate(("gain", "gain_own", "gain_last", "gain_whole")):
        pairs = [
            (one.answers[2 * k + 1] - one.answers[2 * k], len(of[2 * k].answer))
            if len(one.answers) == 8
            else (np.nan, 1)
            for one, of in zip(given, asked, strict=True)
        ]
        terms[name] = np.array([mean for mean, _ in pairs])
        if k == 0:
            terms["gain_sum"] = np.array([mean * num for mean, num in pairs])
    terms["log_tokens"] = np.log([len(g.entropies) for g in given])
    terms["num_read"] = np.array([float(text.size) for text in texts]).reshape(-1, 2).sum(axis=1)
    terms["depth"] = np.array([float(steps.measure(r.response).depth) for r in readings])
    return Found(terms, time.monotonic() - started)


def texts_of(scorer: LikelihoodScorer, reading: formats.Reading) -> list[Any]:
    """Return the row's two texts; on the first, four ways of asking for the answer."""
    passage = passage_of(reading)
    own = passage._replace(answer=reading.own_answer or passage.answer)
    whole = passage._replace(reasoning=len(passage.response))
    both = [scorer._texts(p) for p in (passage, own, last_cut(passage), whole)]
    if any(pair is None for pair in both):
        raise SystemExit("a row without a response or with a prompt beyond the window")
    pairs = [pair for pair in both if pair is not None]
    asked = tuple(one for given, _ in pairs for one in given.asked)
    given, alone = pairs[0]
    return [given._replace(asked=asked if len(asked) == 8 else ()), alone]


def last_cut(passage: Passage) -> Passage:
    """Return the passage with only the last sentence that names the answer cut off."""
    spans = reasoning._sentences(passage.response)
    find = reasoning._finder(passage.answer or "0")
    naming = [start for start, end in spans if find(passage.response[start:end])[1]]
    return passage._replace(reasoning=naming[-1] if naming else spans[-1][0])


def aucs(
    values: Values, log_tokens: Values, right: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the AUC as it is and at equal length, and over how many rows."""
    rows = wanted & np.isfinite(values)
    family = np.zeros(int(rows.sum()), np.int32)
    equal = contribution.residual_z(values[rows], log_tokens[rows], family)
    return {
        "auc": auc(values[rows], right[rows]),
        "at_equal_length": auc(equal, right[rows]),
        "right": int(right[rows].sum()),
        "wrong": int((~right[rows]).sum()),
        "left_out": int((wanted & ~rows).sum()),
    }


def auc(values: Values, right: npt.NDArray[np.bool_]) -> float | None:
    """Return the chance that a right row has the higher value, ties counted half."""
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    if not num_right or not num_wrong:
        return None
    above = rankdata(values)[right].sum() - num_right * (num_right + 1) / 2
    return round(float(above / (num_right * num_wrong)), 3)


if __name__ == "__main__":
    main()
