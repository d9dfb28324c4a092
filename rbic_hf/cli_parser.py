"""The arguments of the command line."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rbic_hf import __version__
from rbic_hf.config import METHODS, UNITS, RbicConfig, check_ratio
from rbic_hf.errors import ConfigError

SOURCE_HELP = """\
SOURCE is a Hub id (openai/gsm8k), a folder made by save_to_disk, or a .json, .jsonl, .parquet or
.csv file. Columns are recognised by themselves; --question, --response, ... name them otherwise.
"""
EXAMPLES = """\
examples:
  rbic demo                                             the whole road on a built-in sample
  rbic refine train.jsonl --ratio .16 --out refined     keep 16 % of the training cost
  rbic select refined/scored --ratio .08 --out half     another ratio, in seconds, no model
"""
COLUMN_ROLES = ("question", "response", "thinking", "answer", "conversation")

Runs = Mapping[str, Callable[[argparse.Namespace], None]]


def build_parser(runs: Runs) -> argparse.ArgumentParser:
    """Return the parser of all commands; `run` of what it parses is the command's function."""
    parser = argparse.ArgumentParser(
        prog="rbic",
        description="Keep the small part of a reasoning dataset that teaches the most.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rbic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    refine = _command(commands, "refine", "score a dataset and keep the best part of it", runs)
    _add_source(refine)
    _add_selection(refine)
    _add_engines(refine)
    _add_settings(refine)
    _add_out(refine)
    score = _command(commands, "score", "give every row its rbic columns", runs)
    _add_source(score)
    _add_engines(score)
    _add_settings(score)
    _add_out(score)
    select = _command(commands, "select", "keep another part of a scored dataset; no model", runs)
    select.add_argument("scored", metavar="SCORED", help="a scored dataset: folder, file or Hub id")
    select.add_argument("--split", help="the split to use, if there are several")
    _add_selection(select)
    select.add_argument("--seed", type=int, default=0, help="draws what is drawn (default: 0)")
    select.add_argument(
        "--proxy", metavar="MODEL", help="who reads the responses for --method ifd, hes or gain"
    )
    _add_columns(select)
    select.add_argument("--cache-dir", type=Path, help="where those scores are kept")
    _add_out(select)
    report = _command(commands, "report", "say what was kept and what was dropped", runs)
    report.add_argument("scored", metavar="SCORED", help="the scored dataset")
    report.add_argument("refined", metavar="REFINED", help="what was selected from it")
    report.add_argument("--split", help="the split to use, if there are several")
    report.add_argument("--json", action="store_true", help="numbers as JSON instead of text")
    report.add_argument("--pictures", type=Path, metavar="DIR", help="also draw them, PNG and SVG")
    explain = _command(commands, "explain", "say why a row was kept or not", runs)
    explain.add_argument(
        "scored", metavar="SCORED", help="a scored dataset: folder, file or Hub id"
    )
    explain.add_argument("--split", help="the split to use, if there are several")
    which = explain.add_mutually_exclusive_group(required=True)
    which.add_argument("--row", type=int, metavar="N", help="its number, from 0 ...")
    which.add_argument("--key", metavar="KEY", help="... or its rbic_key")
    explain.add_argument("--all", action="store_true", help="show every segment of a long trace")
    explain.add_argument("--html", type=Path, metavar="FILE", help="also write it as a page")
    explain.add_argument("--svg", type=Path, metavar="FILE", help="also draw the graph")
    _add_columns(explain)
    demo = _command(commands, "demo", "refine a built-in sample with small real models", runs)
    demo.add_argument("--ratio", type=_ratio, default=0.16, help="share to keep (default: .16)")
    demo.add_argument("--out", type=Path, default=Path("rbic-demo"), help="default: rbic-demo")
    demo.add_argument("--cache-dir", type=Path, help="where vectors and rollouts are kept")
    return parser


def _command(commands: Any, name: str, text: str, runs: Runs) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=SOURCE_HELP if name in ("refine", "score") else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=runs[name])
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.add_argument("--quiet", action="store_true", help="no notices, only results and errors")
    return command


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="Hub id, folder or file (see below)")
    command.add_argument("--split", help="split to use (default: train)")
    command.add_argument("--revision", help="revision of a Hub dataset")
    _add_columns(command)


def _add_columns(command: argparse.ArgumentParser) -> None:
    for role in COLUMN_ROLES:
        command.add_argument(f"--{role}", metavar="COLUMN", help=f"the column of the {role}")


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--ratio", type=_ratio, default=0.16, help="share to keep (default: .16)")
    command.add_argument(
        "--unit", choices=UNITS, default="cost", help="what the share counts (default: cost)"
    )
    command.add_argument(
        "--method",
        choices=METHODS,
        default="rbic",
        help="what to hold rbic against: twin (random rows with the same domains, tiers and "
        "lengths), random (rows for the same amount), random_rows (that share of the rows), ... "
        "(default: rbic)",
    )


def _add_engines(command: argparse.ArgumentParser) -> None:
    command.add_argument("--encoder", help="embedding model: Hub id or folder")
    command.add_argument(
        "--prober",
        help="who is asked: model id or folder, vllm:MODEL, a server's address "
        "(http://host:8000/v1, several with commas between), or auto",
    )
    command.add_argument("--prober-model", help="the model's name, where a server has several")
    command.add_argument(
        "--prober-revision",
        help="what a server serves under a name may change: a commit, or a date",
    )
    command.add_argument(
        "--pass-rate", metavar="COLUMN", help="instead of asking: a column of solve rates, 0 to 1"
    )
    command.add_argument(
        "--num-correct", metavar="COLUMN", help="instead of asking: a column of right rollouts ..."
    )
    command.add_argument(
        "--num-runs", metavar="COLUMN|N", help="... of so many; for --pass-rate too (default: 8)"
    )
    command.add_argument(
        "--proxy",
        metavar="MODEL",
        help="model that reads the responses: columns rbic_answer_gain, rbic_entropy, rbic_ifd; "
        "in the contribution with --gain-weight and --entropy-weight",
    )
    command.add_argument("--student", help="model you will train: its tokenizer counts the cost")
    command.add_argument("--no-probe", action="store_true", help="no rollouts: no difficulty tiers")
    command.add_argument(
        "--benchmark",
        action="append",
        metavar="SOURCE",
        help="set aside rows whose question is one of this benchmark's (its test split); may be "
        "given several times",
    )
    command.add_argument("--cache-dir", type=Path, help="where vectors and rollouts are kept")


def _add_settings(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("settings", "the fields of RbicConfig")
    for field in fields(RbicConfig):
        whole = isinstance(field.default, int) or field.name.startswith(("num_", "max_"))
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=str if field.name == "instruction" else int if whole else float,
            metavar="TEXT" if field.name == "instruction" else "N" if whole else "X",
            help=f"{_explained(field.name)} (default: "
            + ("chosen by the run)" if field.default is None else f"{field.default})"),
        )


def _explained(name: str) -> str:
    """Return what a setting means, from the docstring of RbicConfig."""
    text = inspect.getdoc(RbicConfig) or ""
    found = re.search(rf"^ {{4}}{name}: (.+?)(?=\n {{4}}\w+: |\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()).rstrip(".").replace("%", "%%") if found else name


def _add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the results (default: rbic-SOURCE)"
    )
    if command.prog.endswith("refine"):
        command.add_argument("--push-to", metavar="USER/NAME", help="also push it to the Hub")
        command.add_argument("--private", action="store_true", help="make that repository private")


def _ratio(text: str) -> float:
    try:
        return check_ratio(float(text))
    except (ConfigError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not accepted; give a number > 0 and <= 1, such as .16"
        ) from None
