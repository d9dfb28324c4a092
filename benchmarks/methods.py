"""What every method keeps of real pools at 16 % of the cost: contribution, coverage, domains.

python benchmarks/methods.py [--quick]     GSM8K and all pools together (300 rows of GSM8K)

The packaged MiniLM, no rollouts. Coverage is the mean cosine of a row to its nearest kept row. It
says what is kept, not what a model learns from it. What a model has to read (ifd, hes, gain) is
left out: hours on a CPU.
"""

from __future__ import annotations

import argparse
from typing import Any, get_args

from datasets import Dataset
from recording import DATA, finish, rows_of

import rbic_hf
from rbic_hf import engines, formats, layouts
from rbic_hf.config import PROXY_COLUMNS, Method

RATIO = 0.16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 rows of GSM8K")
    args = parser.parse_args()
    gsm8k = read("gsm8k_train")
    pools = {"gsm8k": gsm8k[:300]} if args.quick else {"gsm8k": gsm8k, "mixed": mixed()}
    figures: dict[str, Any] = {"ratio": RATIO}
    for name, rows in pools.items():
        encoder = engines.packaged_folder(engines.PACKAGED_ENCODER)
        scored = rbic_hf.score(Dataset.from_list(rows), encoder=encoder, probe=False)
        print(f"{name}, {scored.num_rows:,} rows: rows, cost, contribution, coverage, domains")
        for method in get_args(Method):
            if method in PROXY_COLUMNS:
                continue
            found = rbic_hf.report(scored, rbic_hf.select(scored, RATIO, method=method))
            reached = sum(share.kept > 0 for share in found.domains.values())
            one = {
                "rows": round(found.rows.ratio, 4),
                "cost": round(found.cost.ratio, 4),
                "contribution": round(found.contribution.kept or 0, 4),
                "coverage": round(found.coverage.kept or 0, 4),
                "domains": f"{reached} of {len(found.domains)}",
            }
            figures[f"{name}_{method}"] = one
            print(f"{method:18}" + "  ".join(f"{value!s:>8}" for value in one.values()), flush=True)
    finish("methods", figures)


def read(pool: str) -> list[dict[str, str]]:
    rows = rows_of(f"pools/{pool}")
    layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
    readings = (formats.read_row(layout, row) for row in rows)
    return [
        {
            "question": r.question,
            "response": r.response,
            "answer": r.reference or "",
            "source": pool,
        }
        for r in readings
        if r.status == "clean"
    ]


def mixed() -> list[dict[str, str]]:
    return [row for file in sorted((DATA / "pools").glob("*.jsonl")) for row in read(file.stem)]


if __name__ == "__main__":
    main()
