"""`refine(..., push_to=)` through the real clients and a loopback Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from loopback_hub import TOKEN, LoopbackHub

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import datasets
from conftest import SMALL, TableProber, WordEncoder
import rbic_hf
from rbic_hf.sample import make_sample

rows = make_sample(80, seed=3)
small = rbic_hf.refine(
    datasets.Dataset.from_list(rows), 0.3, config=SMALL, encoder=WordEncoder(), cache_dir=False,
    prober=TableProber({row["question"]: row["answer"] for row in rows}), push_to="me/small",
)
back = datasets.load_dataset("me/small", split="train")
assert back.to_list() == small.to_list()
assert back.features == small.features
scored_again = rbic_hf.select(back, 1.0)
assert scored_again.num_rows == small.num_rows
"""


def test_a_refined_dataset_is_pushed_with_its_card_and_loads_back(tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
            env={**os.environ, **hub.env(tmp_path / "home"), "RBIC_CACHE": str(tmp_path / "c")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        card = hub.dataset("me/small").text("README.md", "main")
    assert "## Against a random twin" in card
    assert "configs:" in card
    assert "- prober: table" in card
    assert TOKEN not in card + done.stdout + done.stderr
