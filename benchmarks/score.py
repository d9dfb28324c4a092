"""What `score` costs outside its models, and a new ratio on a scored dataset.

python benchmarks/score.py            100,000 rows scored; ten ratios on a scored million
python benchmarks/score.py --quick    5,000 rows; ten ratios on 20,000

The rows are those of all pools, again and again with other numbers in front, so that no two are
equal; their vectors are handed over instead of a model's, with noise (see scale.py), and solve
rates stand in a column. So everything is timed but encoding and asking.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, disable_progress_bars
from recording import DATA, finish, rows_of
from scale import Vectors, forget_peak, grown, peak_mb, real_vectors

import rbic_hf
from rbic_hf import ColumnProber, RbicConfig, formats, layouts, tables

RATIOS = (0.01, 0.02, 0.05, 0.08, 0.1, 0.16, 0.2, 0.3, 0.5, 0.8)


class Handed:
    """An encoder that knows the vector of every question."""

    spec = {"encoder": "handed over"}

    def __init__(self, questions: list[str], vectors: Vectors) -> None:
        self._place = {question: i for i, question in enumerate(questions)}
        self._vectors = vectors

    def encode(self, sentences: list[str], /) -> Vectors:
        return self._vectors[[self._place[text] for text in sentences]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 rows, and 20,000")
    args = parser.parse_args()
    num_rows, num_scored = (5000, 20_000) if args.quick else (100_000, 1_000_000)
    logging.getLogger("rbic_hf").setLevel(logging.INFO)
    logging.basicConfig(format="%(relativeCreated)d ms %(message)s")
    disable_progress_bars()
    questions, answers = pool_rows(num_rows)
    encoder = Handed(questions, grown(real_vectors(), num_rows))
    rates = np.random.default_rng(0).integers(0, 9, num_rows) / 8
    dataset = Dataset.from_dict(
        {"question": questions, "response": answers, "answer": ["7"] * num_rows, "rate": rates}
    )
    forget_peak()
    held = peak_mb()
    wall, cpu = time.perf_counter(), os.times()
    scored = rbic_hf.score(
        dataset,
        encoder=encoder,
        prober=ColumnProber(pass_rate="rate"),
        cache_dir=False,
        config=RbicConfig(),
    )
    seconds = time.perf_counter() - wall
    figures: dict[str, Any] = {"num_rows": num_rows, "score_s": round(seconds, 1)}
    after = os.times()
    figures["score_cpu_s"] = round(
        sum(getattr(after, f) - getattr(cpu, f) for f in ("user", "system", "children_user")), 1
    )
    figures |= {"held_before_mb": round(held), "extra_mb": round(peak_mb() - held)}
    print(f"{num_rows:,} rows scored without models in {seconds:.1f} s")
    figures |= ratios(many(scored, num_scored))
    finish("score", figures)


def pool_rows(n: int) -> tuple[list[str], list[str]]:
    """Return n questions and responses, no two questions equal."""
    kept: list[tuple[str, str]] = []
    for file in sorted((DATA / "pools").glob("*.jsonl")):
        rows = rows_of(f"pools/{file.stem}")
        layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
        readings = (formats.read_row(layout, row) for row in rows)
        kept += [(r.question, r.response) for r in readings if r.status == "clean"]
    order = np.random.default_rng(0).permutation(len(kept))
    places = np.resize(order, n).tolist()
    questions = [f"({i}) {kept[place][0]}" for i, place in enumerate(places)]
    return questions, [kept[place][1] for place in places]


def many(scored: Dataset, n: int) -> Dataset:
    """Return n rows: the scored ones again and again, ranked anew; without texts and vectors."""
    small = scored.remove_columns(["question", "response", "answer", "rate", "rbic_embedding"])
    times = -(-n // small.num_rows)
    table = pa.concat_tables([small.data.table] * times).slice(0, n).combine_chunks()
    part = Dataset(table)
    rank = pa.array(np.random.default_rng(0).permutation(n), pa.int32())
    group = pa.array(np.arange(n), pa.int32())
    part = tables.put_column(part, "rbic_rank", rank)
    return tables.put_column(part, "rbic_duplicate_group", group)


def ratios(scored: Dataset) -> dict[str, Any]:
    seconds = []
    for ratio in RATIOS:
        start = time.perf_counter()
        kept = rbic_hf.select(scored, ratio)
        seconds.append(time.perf_counter() - start)
        print(f"ratio {ratio}: {kept.num_rows:,} of {scored.num_rows:,} rows, {seconds[-1]:.2f} s")
    start = time.perf_counter()
    rbic_hf.select(scored, 0.16, method="twin")
    twin = time.perf_counter() - start
    print(f"the random twin: {twin:.2f} s")
    return {
        "num_scored": scored.num_rows,
        "ratio_s_max": round(max(seconds), 2),
        "ratio_s_mean": round(float(np.mean(seconds)), 2),
        "twin_s": round(twin, 2),
    }


if __name__ == "__main__":
    main()
