"""Whether any text at all can stop the reading of reasoning, or slow it down beyond its length.

python benchmarks/fuzz.py [--quick]     1,000 texts, hostile ones of 0.1 and 0.8 MB

10,000 texts are put together at random from pieces of real rows, LaTeX, markers that nobody closes,
null bytes, right-to-left text, surrogates and code; then each hostile pattern is read at a size and
at eight times that size: linear time is a ratio of 8, quadratic time 64. 5 MB in one line is the
largest.
"""

from __future__ import annotations

import argparse
import random
import time

from recording import finish, rows_of

from rbic_hf.steps import measure, trace

PIECES = [
    *("\n", "\\\\", "\r", "$", "$$", "=", "+", ":", "{", "}", "\\frac{", "\\boxed{", "<<3=4>>"),
    *(
        "```",
        "```python\n",
        "~~~",
        "<think>",
        "</think>",
        "<|begin_of_thought|>",
        "[asy]",
        "[/asy]",
    ),
    *("\0", "\ud800", "\u202e", "\u200f", "ﷺ", "x", "y_1", "α", "3", "12", "1,234", "0.5", "50%"),
    *("so ", "因此", "。", ". A", "the sum ", "wait, ", "no, ", "let me start over ", "Case 2: "),
    *("三百二十个", "百分之五十", "twenty-five ", "(1)", "①", "from (1) ", "step 3 ", "check: "),
    *("def f(x):\n", "    return x\n", "for i in range(3):\n", "if x:\n", "x = x + 1\n", "\t"),
]
HOSTILE = {
    "brackets": "(",
    "nested latex": "\\frac{",
    "boxes": "\\boxed{",
    "digits": "9",
    "powers": "9^",
    "stars": "*",
    "run-on words": "a To ",
    "spaces": " ",
    "abbreviations": "e.g. A ",
    "null bytes": "\0=",
    "calculator marks": "<<",
    "thousands": "1,234,",
    "short lines": "a\n",
    "fences": "```\n",
    "python fences": "```python\nx = 1\n",
    "cases": "Case 1: x1 = 3\n",
    "new starts": "Let me start over x = 3 y\n",
    "retractions": "No, x = 4.\n",
    "labels": "x = 3 (1) from (1) ",
    "equations": "x = 3 y = 4 ",
    "drawings": "[asy]",
    "thoughts": "<think>",
    "chinese numerals": "三百",
    "chinese parts": "三分之",
    "words of numbers": "twenty-",
    "references": "①②③",
    "enumerated": "a1=a2 b3=b4\n",
    "sentences": "So it is 3. ",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of all")
    args = parser.parse_args()
    slowest = random_texts(1_000 if args.quick else 10_000)
    small = 100_000 if args.quick else 625_000
    growth = {name: growth_of(piece, small) for name, piece in HOSTILE.items()}
    print({name: f"{ratio:.1f} ({seconds:.2f} s)" for name, (ratio, seconds) in growth.items()})
    worst = max(growth, key=lambda name: growth[name][0])
    finish(
        "fuzz",
        {
            "texts": 1_000 if args.quick else 10_000,
            "slowest_us_per_byte": round(slowest, 2),
            "largest_mb": small * 8 / 1e6,
            "worst_growth_at_8_times": round(growth[worst][0], 1),
            "worst": worst,
            "slowest_seconds": round(max(seconds for _, seconds in growth.values()), 2),
        },
    )


def random_texts(number: int) -> float:
    """Read texts; return the most microseconds that a byte of one over 10 kB took."""
    rng = random.Random(0)
    real = [row["answer"] for row in rows_of("pools/gsm8k_train")[:200]]
    real += [row["solution"] for row in rows_of("pools/math_boxed")[:200]]
    real += [row["output"] for row in rows_of("pools/code_mbpp_alpaca")[:200]]
    real += [row["output"] for row in rows_of("pools/zh_gaokao_alpaca")[:200]]
    slowest = 0.0
    for _ in range(number):
        size = int(rng.paretovariate(0.9)) + 3
        parts = []
        for _ in range(min(size, 3_000)):
            if rng.random() < 0.15:
                text = rng.choice(real)
                start = rng.randrange(len(text))
                parts.append(text[start : start + rng.randrange(1, 200)])
            else:
                parts.append(rng.choice(PIECES) * (1 if rng.random() < 0.9 else rng.randrange(40)))
        text = "".join(parts)
        start_s = time.process_time()
        found = measure(text, answer="12")
        seconds = time.process_time() - start_s
        assert 0 <= found.depth <= max(found.steps, 1), repr(text)
        if len(text) < 2_000:
            assert len(trace(text).nodes) == found.steps, repr(text)
        size_b = len(text.encode("utf-8", "surrogatepass"))
        if size_b > 10_000:
            slowest = max(slowest, seconds * 1e6 / size_b)
    print(f"{number} texts read; the slowest byte of one over 10 kB took {slowest:.2f} µs")
    return slowest


def growth_of(piece: str, small: int) -> tuple[float, float]:
    """Return how much longer eight times the text takes, and that time in seconds."""
    short, long = (timed(piece * (size // len(piece))) for size in (small, 8 * small))
    return long / max(short, 0.005), long


def timed(text: str) -> float:
    start = time.process_time()
    measure(text, answer="9")
    return time.process_time() - start


if __name__ == "__main__":
    main()
