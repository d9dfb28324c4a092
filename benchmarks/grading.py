"""Grading against labelled pairs, beside math-verify alone; its speed; and 10,000 hostile pairs.

    python benchmarks/grading.py [--quick]

Human rows are truth, grader rows are evidence. math-verify alone gets both sides as they are and
as LaTeX, and is given the better of the two. The fuzz mixes pieces of real answers with towers of
powers, deep fractions and broken LaTeX; a pair may be null but must come back.
The last line is JSON; it is appended to benchmarks/results/grading.jsonl.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from typing import Any

from recording import finish, rows_of

from rbic_hf import grading

PIECES = [
    "2003^{2002^{2001}}", "9**9**9**9", "\\frac{" * 60 + "1" + "}{2}" * 60, "\\sqrt{" * 200,
    "((((" * 500, "\\boxed{", "}", "$", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "x^{1000000}",
    "10^{10^{10}}!", "\\int_0^1", "１２３", "答案是", "the answer is ", "####", "1/0", "-",
    "0.1" * 100, "\x00", "\ud800", "[1,2)\\cup(3,4]", "½", "\\text{" * 30, "A", "故选 B",
    "1e400", "1e-400", "nan", "inf", "I", "\\pi", "%", "\\circ", "\n", "|x|" * 40, "\\lim_{x\\to0}",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="500 hostile pairs instead of 10,000")
    args = parser.parse_args()
    rows = rows_of("labels/answer_pairs")
    references, answers = [row["gold"] for row in rows], [row["pred"] for row in rows]
    grading.grade(["$x+1$"] * 20, [f"$1+{i}x$" for i in range(20)])  # the workers start
    started = time.perf_counter()
    ours = grading.grade(references, answers)
    seconds = time.perf_counter() - started
    print(f"ours: {seconds:.1f} s", flush=True)
    started = time.perf_counter()
    alone = math_verify_alone(references, answers)
    print(f"math-verify alone: {time.perf_counter() - started:.1f} s", flush=True)
    figures: dict[str, Any] = {"pairs": len(rows), "graded_per_s": round(len(rows) / seconds, 1)}
    figures |= agreement(rows, ours, alone)
    fuzz_s, fuzz_null, slowest = fuzz(answers, 500 if args.quick else 10_000)
    figures |= {"fuzz_s": round(fuzz_s, 1), "fuzz_null": fuzz_null, "fuzz_slowest_s": slowest}
    finish("grading", figures)


def agreement(rows: list[dict[str, Any]], ours: list[Any], alone: list[Any]) -> dict[str, Any]:
    """Print and return the shares that agree with the labels, by who labelled and by source."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by = "human" if row["label_by"].startswith("human") else "grader"
        groups[by].append(i)
        groups[f"{by}: {row['source']}"].append(i)
    print(f"{'':44}{'pairs':>7}{'ours':>8}{'null':>6}{'alone':>8}")
    figures = {}
    for name, places in sorted(groups.items()):
        equal = [rows[i]["equal"] for i in places]
        shares = [
            sum(bool(verdicts[i]) == e for i, e in zip(places, equal, strict=True)) / len(places)
            for verdicts in (ours, alone)
        ]
        num_null = sum(ours[i] is None for i in places)
        print(f"{name[:43]:44}{len(places):>7}{shares[0]:>8.3f}{num_null:>6}{shares[1]:>8.3f}")
        if ":" not in name:
            figures[f"{name}_ours"] = round(shares[0], 4)
            figures[f"{name}_alone"] = round(shares[1], 4)
    return figures


def math_verify_alone(references: list[str], answers: list[str]) -> list[bool]:
    """Return math-verify's verdicts: equal as given, or equal as LaTeX."""
    import logging

    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)

    def equal(reference: str, answer: str) -> bool:
        truth = parse(reference)  # with the library's own time limits
        return any(verify(truth, parse(text)) for text in (answer, f"${answer}$"))

    return [
        equal(ref, answer) or equal(f"${ref}$", answer)
        for ref, answer in zip(references, answers, strict=True)
    ]


def fuzz(answers: list[str], count: int) -> tuple[float, int, float]:
    """Grade hostile pairs; return seconds, how many were null, and the slowest thousand's time."""
    rng = random.Random(0)
    material = PIECES + [answer for answer in answers if len(answer) < 300]
    made = ["".join(rng.choices(material, k=rng.randint(1, 4))) for _ in range(2 * count)]
    made[0], made[1] = "1" * 1_000_000, "\\frac{1}{2}" * 90_000
    started, slowest, num_null = time.perf_counter(), 0.0, 0
    for start in range(0, count, 1000):
        step = time.perf_counter()
        verdicts = grading.grade(
            [made[2 * i] for i in range(start, min(start + 1000, count))],
            [made[2 * i + 1] for i in range(start, min(start + 1000, count))],
            timeout_s=2.0,
        )
        num_null += sum(verdict is None for verdict in verdicts)
        slowest = max(slowest, time.perf_counter() - step)
        print(f"fuzz: {start + len(verdicts)} pairs", flush=True)
    return time.perf_counter() - started, num_null, round(slowest, 1)


if __name__ == "__main__":
    main()
