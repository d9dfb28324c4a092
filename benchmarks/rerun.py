"""How long the first run, a second run and another ratio take, with the packaged MiniLM.

    python benchmarks/rerun.py [--quick]

The second run and the other ratio load no model: their time against the first one's is the figure.
The last line is JSON; it is appended to benchmarks/results/rerun.jsonl.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import rbic_hf
from rbic_hf.demo import demo_dataset, packaged_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 rows instead of 2,000")
    args = parser.parse_args()
    num_rows = 100 if args.quick else 2000
    dataset = demo_dataset(num_rows)
    encoder, _ = packaged_models()
    with tempfile.TemporaryDirectory() as cache:

        def score() -> Any:
            return rbic_hf.score(dataset, encoder=encoder, probe=False, cache_dir=cache)

        first, scored = timed(score)
        second, again = timed(score)
        ratio, _ = timed(lambda: rbic_hf.select(scored, 0.08))
    assert again["rbic_rank"] == scored["rbic_rank"]
    figures = {
        "rows": num_rows,
        "first_s": round(first, 2),
        "second_s": round(second, 2),
        "select_s": round(ratio, 3),
        "second_over_first": round(second / first, 4),
        "version": rbic_hf.__version__,
    }
    line = json.dumps(figures)
    with (Path(__file__).parent / "results" / "rerun.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line)


def timed(action: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
