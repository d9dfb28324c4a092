"""How deep reasoning is, against human-checked chains; what must not change it; and how fast.

python benchmarks/complexity.py [--quick]     a tenth of the rows of each pool

Agreement is Spearman's correlation of depth with the longest path of human-checked premise links,
overall, per source, and between the residuals of both after log length is taken out. Speed is of
one core, responses only, best of three rounds; the peer of the same run is a bare reading of all
tokens by the same pattern, which nobody who writes Python can undercut.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from recording import DATA, finish, rows_of
from scipy.stats import rankdata, spearmanr

from rbic_hf import formats, layouts, symbols
from rbic_hf.sample_pairs import make_pairs
from rbic_hf.steps import measure

Array = npt.NDArray[np.float64]

JOINS: dict[str, Callable[[list[str]], str]] = {
    "lines": "\n".join,
    "blank lines": "\n\n".join,
    "spaces": " ".join,
    "one line": lambda steps: " ".join(" ".join(steps).split()),
}
CHECKS = (
    "Let me verify this.",
    "Wait, let me double-check everything from the beginning.",
    "让我再验算一遍。",
)
FILLERS = (
    "Okay, let me think about this.",
    "So, let's keep going.",
    "This is an important point to remember.",
    "Therefore, we can continue.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows of each pool")
    args = parser.parse_args()
    every = 10 if args.quick else 1
    figures: dict[str, Any] = {"chains": chains()}
    figures["pairs"] = pairs()
    for file in sorted((DATA / "pools").glob("*.jsonl")):
        figures[file.stem] = pool(file.stem, every)
    finish("complexity", figures)


def chains() -> dict[str, Any]:
    """Return the agreement with human-checked chains, and how far filler changes their depth."""
    rows = rows_of("labels/chains")
    steps = [[re.sub(r"^Step \d+:\s*", "", step) for step in row["steps"]] for row in rows]
    truth = np.array([longest_path(row["premises"]) for row in rows], float)
    source = np.array([row["source"] for row in rows])
    length = np.array([len("\n".join(parts)) for parts in steps], float)
    found: dict[str, Any] = {}
    for name, join in JOINS.items():
        depth = np.array([measure(join(parts)).depth for parts in steps], float)
        one = {"all": correlation(depth, truth), "length_out": without(depth, truth, length)}
        for kind in np.unique(source):
            of = source == kind
            one[f"{kind} ({of.sum()})"] = correlation(depth[of], truth[of])
        found[name] = one
        print(f"chains, joined by {name}: {one}")
    found["characters"] = correlation(length, truth)
    texts = ["\n".join(parts) for parts in steps]
    once = [measure(text).depth for text in texts]
    for check in CHECKS:
        twice = [measure(f"{text}\n{check}\n{text}").depth for text in texts]
        assert twice == once, check
    padded = {
        filler: [
            measure("\n".join(f"{line}\n{filler}" for line in text.split("\n"))).depth
            for text in texts
        ]
        for filler in FILLERS
    }
    found["filler"] = {
        filler: round(sum(depths) / sum(once) - 1, 4) for filler, depths in padded.items()
    }
    print(f"read twice: no change; mean change by filler after each line: {found['filler']}")
    return found


def pairs() -> dict[str, float]:
    """Return how English and Chinese renderings of one generated problem agree."""
    rows = make_pairs(200)
    english, chinese = (
        np.array([measure(row[side]).depth for row in rows], float)
        for side in ("english", "chinese")
    )
    truth = np.array([row["true_depth"] for row in rows], float)
    found = {
        "largest_difference": float(abs(english - chinese).max()),
        "english": correlation(english, truth),
        "chinese": correlation(chinese, truth),
    }
    print(f"200 pairs of the sample generator: {found}")
    return found


def pool(name: str, every: int) -> dict[str, float]:
    """Return speed and fallback of one pool."""
    rows = rows_of(f"pools/{name}")
    layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
    readings = [formats.read_row(layout, row) for row in rows[::every]]
    texts = [reading.response for reading in readings if reading.status == "clean"]
    size = sum(len(text.encode()) for text in texts)
    seconds = min(timed(lambda: [measure(text) for text in texts]) for _ in range(3))
    bare = min(timed(lambda: [symbols.tokens(text) for text in texts]) for _ in range(3))
    found = [measure(text) for text in texts]
    one = {
        "rows": len(texts),
        "mb_per_s": round(size / seconds / 1e6, 3),
        "rows_per_s": round(len(texts) / seconds, 1),
        "times_bare_tokens": round(seconds / bare, 2),
        "fallback": round(sum(not c.symbolic for c in found) / len(texts), 4),
        "depth_with_length": correlation(
            np.array([c.depth for c in found], float), np.array([len(t) for t in texts], float)
        ),
    }
    print(f"{name}: {one}", flush=True)
    return one


def timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def longest_path(premises: list[list[int]]) -> int:
    depths: list[int] = []
    for links in premises:
        depths.append(1 + max((depths[at] for at in links), default=0))
    return max(depths)


def correlation(one: Array, other: Array) -> float:
    return round(float(spearmanr(one, other).statistic), 4)


def without(one: Array, other: Array, length: Array) -> float:
    """Return the correlation of ranks after the rank of length is taken out of both."""
    ranks = rankdata(length)

    def rest(values: Array) -> Array:
        y = rankdata(values)
        return np.asarray(y - np.polyval(np.polyfit(ranks, y, 1), ranks))

    return round(float(np.corrcoef(rest(one), rest(other))[0, 1]), 4)


if __name__ == "__main__":
    main()
