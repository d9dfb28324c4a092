"""What the benchmarks share: where real data lies, and how figures are kept."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import rbic_hf

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def rows_of(part: str) -> list[dict[str, Any]]:
    """Return the rows of a file of the data folder, such as "labels/chains"."""
    path = DATA / f"{part}.jsonl"
    if not path.is_file():
        sys.exit(f"needs {path.name} in the shared data folder beside the repository")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def finish(name: str, figures: dict[str, Any]) -> None:
    """Print the figures as the last line, as JSON, and append them to results/."""
    figures = {**figures, "version": rbic_hf.__version__, "machine": platform.machine()}
    line = json.dumps(figures)
    with (Path(__file__).parent / "results" / f"{name}.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line)
