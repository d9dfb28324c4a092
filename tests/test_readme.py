"""The README cannot drift: its code runs, its commands parse, its tables are generated."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from rbic_hf import cli, demo
from rbic_hf.cli_parser import build_parser
from rbic_hf.columns import as_markdown

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line
]
NUMBER = re.compile(r"\d+")


def test_every_python_block_shows_its_result() -> None:
    assert len(EXAMPLES) == README.count("```python") == 3


@pytest.mark.models
@pytest.mark.parametrize(("code", "printed"), EXAMPLES)
def test_the_examples_print_what_they_say(code: str, printed: str) -> None:
    demo.packaged_models()  # the default encoder where no Hub is reached
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    shown, promised = out.getvalue().splitlines(), printed.splitlines()
    assert [NUMBER.sub("#", line) for line in shown] == [NUMBER.sub("#", p) for p in promised]
    for line, promise in zip(shown, promised, strict=True):
        # another processor rounds vectors otherwise: a row more or less
        pairs = zip(NUMBER.findall(line), NUMBER.findall(promise), strict=True)
        assert all(abs(int(a) - int(b)) <= 2 for a, b in pairs), (line, promise)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_accepted(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "rbic":
        assert build_parser(cli.RUNS).parse_args(words[1:]).run
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert words[:2] == ["pip", "install"]
        extra = re.search(r"\[(\w+)\]", command)
        assert extra is None or f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text()


def test_the_table_of_columns_is_the_generated_one() -> None:
    table = README.split("<!-- columns:start -->\n")[1].split("\n<!-- columns:end -->")[0]
    assert table == as_markdown()


def test_the_file_tree_is_complete() -> None:
    package = ROOT / "rbic_hf"
    listed = re.findall(r"^(?:  |    )(\w+\.py) ", README, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in package.rglob("*.py"))
