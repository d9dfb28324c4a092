"""What reading sets aside on real pools, what leaks into them, and how fast a core reads.

    python benchmarks/hygiene.py [--quick]

Three parts. Reading: rows per 1,000 set aside, by reason, and megabytes per second of one core.
Contamination: rows of two pools that are questions of three test sets, by words in a row and by
embedding (the packaged MiniLM), before, and after a refinement that was given the test sets, whose
rows are compared anew. Planted: copies of test questions, changed in ways that copies are, and the
share that is found. --quick takes the first 300 of each pool and test, and plants 60.
The last line is JSON; it is appended to benchmarks/results/hygiene.jsonl.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars
from recording import finish, rows_of

import rbic_hf
from rbic_hf import (
    benchmark_questions,
    cached,
    decontamination,
    embed,
    engines,
    formats,
    layouts,
)
from rbic_hf.store import Store

POOLS = (
    "gsm8k_train", "math_boxed", "r1_think_messages", "long_thought_sharegpt", "math_alpaca",
    "code_mbpp_alpaca", "zh_gaokao_alpaca",
)  # fmt: skip
TESTS = ("gsm8k_test", "svamp", "multiarith")
QUICK_ROWS = 300
THRESHOLD = rbic_hf.RbicConfig().duplicate_threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 rows of each, 60 planted")
    args = parser.parse_args()
    disable_progress_bars()
    figures: dict[str, Any] = reading()
    encoder = engines.resolve_encoder(engines.packaged_folder(engines.PACKAGED_ENCODER))
    with tempfile.TemporaryDirectory() as cache:
        embedded = Embedded(encoder, Path(cache))
        figures |= contamination(embedded, QUICK_ROWS if args.quick else None)
        figures |= planted(embedded, 60 if args.quick else 600)
    finish("hygiene", {**figures, "quick": args.quick})


def reading() -> dict[str, Any]:
    """Print and return rows per 1,000 set aside by reason, and the speed of one core."""
    figures: dict[str, Any] = {}
    total_mb = total_s = 0.0
    print(f"{'pool':24}{'rows':>7}{'MB':>7}{'MB/s':>7}   set aside per 1,000 rows")
    for name in POOLS:
        rows = rows_of(f"pools/{name}")
        layout = layouts.recognise(list(rows[0]), rows[:50])
        started = time.process_time()
        readings = [formats.read_row(layout, row) for row in rows]
        seconds = time.process_time() - started
        mb = sum(len(f"{r.question}{r.response}".encode()) for r in readings) / 1e6
        total_mb, total_s = total_mb + mb, total_s + seconds
        reasons = Counter(r.status for r in readings if r.status != "clean")
        keys = {(r.question, r.response, r.reference) for r in readings}
        reasons["duplicate"] = len(readings) - len(keys)
        per_1000 = {k: round(1000 * n / len(rows), 2) for k, n in reasons.items() if n}
        print(f"{name:24}{len(rows):>7}{mb:>7.1f}{mb / seconds:>7.1f}   {per_1000 or '-'}")
        figures[f"aside_{name}"] = per_1000
    return {**figures, "read_mb_per_s": round(total_mb / total_s, 1)}


def contamination(embedded: Embedded, limit: int | None) -> dict[str, Any]:
    """Print and return the contaminated rows per 1,000 before and after a refinement."""
    tests = [
        benchmark_questions.load(Dataset.from_list(rows_of(f"tests/{name}")[:limit]))[0]
        for name in TESTS
    ]
    figures: dict[str, Any] = {}
    print(f"\n{'pool':16}{'test':14}{'words':>7}{'cosine':>8}{'either, per 1,000':>19}")
    for name in ("gsm8k_train", "math_boxed"):
        pool = Dataset.from_list(rows_of(f"pools/{name}")[:limit])
        column = "question" if "question" in pool.column_names else "problem"

        def show(label: str, rows: list[str], asked: list[str], name: str = name) -> Any:
            by_words, by_cosine = hits(embedded, rows, asked)
            rate = 1000 * float((by_words | by_cosine).mean())
            print(f"{name:16}{label:14}{by_words.sum():>7}{by_cosine.sum():>8}{rate:>19.2f}")
            figures[f"{name}_{label}_per_1000"] = round(rate, 3)
            return np.flatnonzero(by_words | by_cosine)

        for label, test in zip(TESTS, tests, strict=True):
            for row in show(label, pool[column], list(test.questions))[:5]:
                print(f"    {pool[column][row][:110]}")
        refined = rbic_hf.refine(
            pool, 0.16, encoder=embedded.encoder, probe=False, cache_dir=embedded.cache,
            benchmarks=[list(test.questions) for test in tests],
        )  # fmt: skip
        show("after", refined[column], [q for test in tests for q in test.questions])
    return figures


@dataclass
class Embedded:
    """Vectors that are computed once per text."""

    encoder: Any
    cache: Path

    def vectors(self, texts: list[str]) -> Any:
        spec = {**(embed.describe(self.encoder) or {}), "stage": embed.VERSION}
        store = Store.open(self.cache, "embeddings", spec)
        return cached.embeddings(self.encoder, store, [text.strip() for text in texts])[0]


def hits(embedded: Embedded, questions: list[str], asked: list[str]) -> tuple[Any, Any]:
    """Return which questions share words with a benchmark's, and which are near them."""
    by_words = decontamination.shared_words(questions, asked).which >= 0
    near, _ = decontamination.near_copies(
        embedded.vectors(questions), embedded.vectors(asked), threshold=THRESHOLD
    )
    return by_words, near >= 0


def planted(embedded: Embedded, number: int) -> dict[str, Any]:
    """Print and return the share of planted copies that is found, by what was changed in them."""
    rng = random.Random(0)
    english = [row["question"] for row in rows_of("tests/gsm8k_test")]
    chinese = sorted({row["instruction"] for row in rows_of("pools/zh_gaokao_alpaca")})
    figures = {}
    print(f"\n{'planted':34}{'words':>8}{'cosine':>8}{'either':>8}")
    for language, texts in (("en", english), ("zh", chinese)):
        chosen = texts[:number]
        for kind, change in CHANGES.items():
            copies = [change(text, rng) for text in chosen]
            by_words = decontamination.shared_words(copies, chosen).which >= 0
            by_cosine = np.zeros(len(copies), bool)
            if language == "en":  # the packaged MiniLM does not read Chinese
                by_cosine = hits(embedded, copies, chosen)[1]
            shares = [float(x.mean()) for x in (by_words, by_cosine, by_words | by_cosine)]
            shown = "".join(f"{share:>8.3f}" for share in shares)
            print(f"{language + ': ' + kind:34}{shown}", flush=True)
            figures[f"planted_{language}_{kind.replace(' ', '_')}"] = round(shares[2], 4)
    return figures


def _other_numbers(text: str, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda found: str(int(found[0]) + rng.randint(1, 9)), text)


def _other_names(text: str, rng: random.Random) -> str:
    """Every capitalised word inside a sentence becomes another one, and every number."""
    names = {
        name: rng.choice(["Ada", "Omar", "Mei", "Ivan"]) for name in re.findall(r"[A-Z]\w+", text)
    }
    return _other_numbers(re.sub(r"[A-Z]\w+", lambda found: names[found[0]], text), rng)


def _punctuated(text: str, rng: random.Random) -> str:
    return re.sub(r"[,.，。]", lambda _: rng.choice([";", " ", " -"]), text).upper()


def _embedded(text: str, rng: random.Random) -> str:
    return f"Read carefully and reason step by step. 请逐步推理。\n{text}\nPut it into \\boxed{{}}."


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "exact": lambda text, rng: text,
    "other punctuation and case": _punctuated,
    "inside a longer prompt": _embedded,
    "other numbers": _other_numbers,
    "other names and numbers": _other_names,
}


if __name__ == "__main__":
    main()
