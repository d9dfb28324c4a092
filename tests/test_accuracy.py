"""The accuracy of a trained model is judged by what judges the probe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rbic_hf.rbic_accuracy
from rbic_hf import DataError
from rbic_hf.rbic_accuracy import accuracy


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        (["\\boxed{4}", "5"], ["4.0", "6"], (0.5, 2, 2, 1, 0)),
        ([["4", "5"], ["6", "6"]], ["4", "6"], (0.75, 2, 4, 3, 0)),
        ([["4", "5", "4", "4"], []], ["4", "6"], (0.75, 1, 4, 3, 0)),
        (["because it is so"], ["a proof of this statement would go beyond the page"],
         (None, 0, 0, 0, 1)),
        (["7", "\\boxed{8}"], ["3 + 4 = 7\n#### 7", "so it is\n#### 9"], (0.5, 2, 2, 1, 0)),
        ([], [], (None, 0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_accuracy_agrees_with_a_count_by_hand(
    predictions: Any, references: list[str], expected: tuple[Any, ...]
) -> None:
    found = accuracy(predictions, references)
    names = ("accuracy", "num_items", "num_graded", "num_correct", "num_unknown")
    assert tuple(found[name] for name in names) == expected


def test_the_standard_error_is_over_items() -> None:
    found = accuracy([["1"], ["1"], ["2"], ["2"]], ["1"] * 4)
    assert found["stderr"] == pytest.approx((1 / 3) ** 0.5 / 2)
    assert accuracy(["1"], ["1"])["stderr"] is None


def test_a_users_grader_is_asked() -> None:
    found = accuracy(["ja", "nein"], ["yes", "yes"], grader=lambda r, a: a == "ja")
    assert found["num_correct"] == 1


def test_unequal_numbers_are_an_error() -> None:
    with pytest.raises(DataError, match="2 predictions for 1 references"):
        accuracy(["1", "2"], ["1"])


@pytest.mark.parametrize(
    ("predictions", "references"), [([4], ["4"]), ([None], ["4"]), (["4"], [4]), (["4"], [["4"]])]
)
def test_what_is_no_text_is_an_error(predictions: Any, references: Any) -> None:
    with pytest.raises(DataError, match="must be texts, not"):
        accuracy(predictions, references)


def test_importing_it_loads_no_evaluate() -> None:
    code = "import sys, rbic_hf.rbic_accuracy; assert 'evaluate' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("as_folder", [False, True])
def test_evaluate_loads_it_by_its_path(tmp_path: Path, as_folder: bool) -> None:
    path = Path(rbic_hf.rbic_accuracy.__file__)
    if as_folder:  # as in a Space: a folder that holds a file of its name
        (tmp_path / "rbic_accuracy").mkdir()
        (tmp_path / "rbic_accuracy" / "rbic_accuracy.py").write_text(path.read_text("utf-8"))
        path = tmp_path / "rbic_accuracy"
    script = f"""
import evaluate
metric = evaluate.load({str(path)!r})
one = metric.compute(predictions=["The answer is 4", "\\\\boxed{{5}}"], references=["4", "6"])
assert one["accuracy"] == 0.5, one
many = metric.compute(predictions=[["4", "5"], ["6", "6"]], references=["4", "6"])
assert many["accuracy"] == 0.75, many
"""
    environment = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
