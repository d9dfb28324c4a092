"""What the contribution follows and what it tells: length, the longest rows, wrong steps.

python benchmarks/contribution.py [--quick]     300 rows of each pool

Each pool is scored with the packaged MiniLM and without rollouts, and 16 % of its cost selected:
Spearman of the contribution with log tokens (it must not follow length), Jaccard of the kept rows
with the longest ones at equal cost. On solutions whose first wrong step is known: the probability
that a right solution has more of a measure than a wrong one of the same source and about the same
length (AUC; .5 tells nothing), over all pairs whose lengths differ by less than a tenth.
"""

from __future__ import annotations

import argparse
import re
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from methods import read
from recording import DATA, finish, rows_of
from scipy.stats import spearmanr

import rbic_hf
from rbic_hf import contribution, engines
from rbic_hf.steps import measure
from rbic_hf.tokens import EstimatedTokens

RATIO = 0.16
MEASURES = (
    *("depth", "steps", "novel_steps", "width", "edges", "operators"),
    *("branch_density", "loop_share", "confidence"),
)
Array = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 rows of each pool")
    args = parser.parse_args()
    figures: dict[str, Any] = {"ratio": RATIO, "wrong_steps": wrong_steps()}
    for file in sorted((DATA / "pools").glob("*.jsonl")):
        rows = read(file.stem)
        figures[file.stem] = pool(file.stem, rows[:300] if args.quick else rows)
    finish("contribution", figures)


def pool(name: str, rows: list[dict[str, str]]) -> dict[str, float]:
    """Return how the contribution and the selection of one pool follow length."""
    encoder = engines.packaged_folder(engines.PACKAGED_ENCODER)
    scored = rbic_hf.score(Dataset.from_list(rows), encoder=encoder, probe=False)
    clean = scored.filter(lambda row: row["rbic_status"] == "clean")
    kept, longest = (
        set(rbic_hf.select(scored, RATIO, method=method)["rbic_key"])
        for method in ("rbic", "longest")
    )
    tokens = np.log(np.array(clean["rbic_tokens"][:], float))
    one = {
        "rows": clean.num_rows,
        "contribution_with_length": spearman(clean["rbic_contribution"][:], tokens),
        "depth_with_length": spearman(clean["rbic_depth"][:], tokens),
        "jaccard_with_longest": round(len(kept & longest) / len(kept | longest), 4),
        "fallback": round(float(np.mean(np.array(clean["rbic_confidence"][:]) == 0)), 4),
    }
    print(f"{name}: {one}", flush=True)
    return one


def wrong_steps() -> dict[str, Any]:
    """Return the AUC of each measure for right against wrong solutions."""
    rows = rows_of("labels/step_errors")
    texts = ["\n".join(re.sub(r"^Step \d+:\s*", "", s) for s in row["steps"]) for row in rows]
    is_wrong = np.array([row["first_error_step"] not in (None, -1) for row in rows])
    source = np.array([row["src"].split("/")[0] + row["src"].split("/")[1][:4] for row in rows])
    of = [measure(text) for text in texts]
    tokens = EstimatedTokens().count([""] * len(texts), texts)
    named = {name: np.array([getattr(one, name) for one in of], float) for name in MEASURES}
    nothing = np.zeros(len(rows), np.int32)
    family = np.unique(source, return_inverse=True)[1].astype(np.int32)
    found = contribution.terms(
        named["depth"], named["branch_density"], named["loop_share"],
        np.array(tokens, float), nothing, family,
    )  # fmt: skip
    named |= {"contribution": found.percentile, "depth_z": found.depth_z}
    lengths = np.array(tokens, float)
    told = {"rows": len(rows), "wrong": int(is_wrong.sum())}
    for name, values in named.items():
        told[name] = matched_auc(values, is_wrong, lengths, source)
    told["tokens, unmatched"] = auc(lengths, is_wrong)
    print(f"right against wrong solutions at equal length: {told}", flush=True)
    return told


def matched_auc(
    values: Array, is_wrong: npt.NDArray[np.bool_], lengths: Array, source: npt.NDArray[np.str_]
) -> float:
    """Return the share of pairs in which the right solution has more; ties count a half."""
    wins = pairs = 0.0
    for kind in np.unique(source):
        right = np.flatnonzero((source == kind) & ~is_wrong).tolist()
        wrong = np.flatnonzero((source == kind) & is_wrong).tolist()
        for r, w in product(right, wrong):
            if abs(lengths[r] - lengths[w]) < 0.1 * max(lengths[r], lengths[w]):
                pairs += 1
                wins += float(values[r] > values[w]) + 0.5 * float(values[r] == values[w])
    return round(wins / pairs, 4) if pairs else float("nan")


def auc(values: Array, is_wrong: npt.NDArray[np.bool_]) -> float:
    right, wrong = values[~is_wrong], values[is_wrong]
    more = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
    return round(float(more), 4)


def spearman(one: Any, other: Any) -> float:
    return round(float(spearmanr(np.array(one, float), other).statistic), 4)


if __name__ == "__main__":
    main()
