"""The built wheel works elsewhere: its command, its templates, the sample's tables."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """
import pathlib, rbic_hf, sys
assert str(pathlib.Path(rbic_hf.__file__)).startswith(sys.argv[1]), rbic_hf.__file__
from rbic_hf.card import TEMPLATE, _template
assert "rbic:start" in _template(TEMPLATE)
from rbic_hf.sample import make_sample
assert len(make_sample(5)) == 5
from rbic_hf.grading import grade
assert grade(["\\\\frac{1}{2}"], ["so \\\\boxed{0.5}"]) == [True]
from rbic_hf import cli
cli.main(["demo", "--help"])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the unpacked wheel and nothing of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target",
         str(folder / "site"), str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    assert "rbic_hf/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    return folder / "site"


def test_an_installed_wheel_runs_and_renders_its_templates(installed: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(installed)],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refine a built-in sample" in done.stdout.lower()
