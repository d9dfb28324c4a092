"""The command line: `rbic refine`, `score`, `select`, `report`, `demo`.

Exit codes: 0 done, 2 bad arguments, 1 a failed run with one plain line (traceback with --debug).
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rbic_hf import __version__
from rbic_hf.config import METHODS, PROXY_COLUMNS, UNITS, RbicConfig, check_ratio
from rbic_hf.errors import ConfigError, RbicError

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

# dataset texts reach the terminal only in labels and errors; control characters never do
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    _set_up_output(arguments)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        _say_error("stopped; what was computed is kept, the same command goes on from there")
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if arguments.debug:
            raise
        _say_error(
            str(error) if isinstance(error, RbicError) else f"{type(error).__name__}: {error}"
        )
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(_CONTROL.sub("?", text) + "\n")


def _say_error(text: str) -> None:
    sys.stderr.write("rbic: " + _CONTROL.sub("?", text) + "\n")


def _set_up_output(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # OpenMP threads that spin while they wait make a model eight times slower on a busy machine
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rbic_hf")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.ERROR if arguments.quiet else logging.INFO)
    from datasets import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rbic",
        description="Keep the small part of a reasoning dataset that teaches the most.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rbic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    refine = _command(commands, "refine", "score a dataset and keep the best part of it", _refine)
    _add_source(refine)
    _add_selection(refine)
    _add_engines(refine)
    _add_settings(refine)
    _add_out(refine)
    score = _command(commands, "score", "give every row its rbic columns", _score)
    _add_source(score)
    _add_engines(score)
    _add_settings(score)
    _add_out(score)
    select = _command(
        commands, "select", "keep another part of a scored dataset; no model", _select
    )
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
    report = _command(commands, "report", "say what was kept and what was dropped", _report)
    report.add_argument("scored", metavar="SCORED", help="the scored dataset")
    report.add_argument("refined", metavar="REFINED", help="what was selected from it")
    report.add_argument("--split", help="the split to use, if there are several")
    report.add_argument("--json", action="store_true", help="numbers as JSON instead of text")
    report.add_argument("--pictures", type=Path, metavar="DIR", help="also draw them, PNG and SVG")
    demo = _command(commands, "demo", "refine a built-in sample with small real models", _demo)
    demo.add_argument("--ratio", type=_ratio, default=0.16, help="share to keep (default: .16)")
    demo.add_argument("--out", type=Path, default=Path("rbic-demo"), help="default: rbic-demo")
    demo.add_argument("--cache-dir", type=Path, help="where vectors and rollouts are kept")
    return parser


def _command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=SOURCE_HELP if name in ("refine", "score") else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
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


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `score` that the command line gives."""
    settings = {
        f.name: value for f in fields(RbicConfig) if (value := getattr(args, f.name)) is not None
    }
    config = RbicConfig(**settings)
    return {
        "config": config,
        "encoder": args.encoder,
        "prober": _prober(args, config),
        "student": args.student,
        "proxy": args.proxy,
        "probe": not args.no_probe,
        "columns": _columns(args),
        "cache_dir": args.cache_dir,
        "with_generations": False,
    }


def _columns(args: argparse.Namespace) -> dict[str, str] | None:
    named = {role: getattr(args, role) for role in COLUMN_ROLES if getattr(args, role)}
    return named or None


def _prober(args: argparse.Namespace, config: RbicConfig) -> Any:
    """Return what the command line says of who is asked."""
    from rbic_hf.probers.columns import ColumnProber
    from rbic_hf.probers.server import ServerProber

    given = [
        name for name in ("no_probe", "prober", "pass_rate", "num_correct") if getattr(args, name)
    ]
    if len(given) > 1:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{named} exclude each other")
    if args.prober_model or args.prober_revision:
        if not str(args.prober).startswith(("http://", "https://")):
            raise ConfigError("--prober-model and --prober-revision go with --prober http://...")
        return ServerProber(
            args.prober.split(","),
            model=args.prober_model,
            revision=args.prober_revision or "",
            temperature=config.temperature,
            top_p=config.top_p,
            max_new_tokens=config.max_new_tokens,
        )
    if not (args.pass_rate or args.num_correct):
        if args.num_runs:
            raise ConfigError("--num-runs goes with --pass-rate or --num-correct")
        return args.prober
    if args.num_correct and not args.num_runs:
        raise ConfigError("--num-correct needs --num-runs: right ones of how many?")
    runs = args.num_runs
    return ColumnProber(
        pass_rate=args.pass_rate,
        num_correct=args.num_correct,
        num_rollouts=int(runs) if runs and re.fullmatch(r"-?\d+", runs) else runs,
    )


def _load(source: str, split: str | None, revision: str | None = None) -> Any:
    from rbic_hf import hub, splits

    return splits.chosen_part(hub.load_source(source, split=split, revision=revision), None)


def _inside(source: str, part: str) -> str:
    """Return the dataset that is meant by a folder which `rbic refine` wrote."""
    folder = Path(source).expanduser() / part
    return str(folder) if folder.is_dir() else source


def _out(args: argparse.Namespace, source: str) -> Path:
    from rbic_hf import output

    out: Path = args.out or Path("rbic-" + re.sub(r"[^\w.-]+", "-", Path(source).stem))
    output.check_folder(out)
    return out


def _refine(args: argparse.Namespace) -> None:
    from rbic_hf import output

    arguments = _arguments(args)
    out = _out(args, args.source)
    refined, card = output.refine_to_folder(
        _load(args.source, args.split, args.revision),
        out,
        ratio=args.ratio,
        unit=args.unit,
        method=args.method,
        source=args.source,
        say=_say,
        **arguments,
    )
    if args.push_to:
        from rbic_hf import hub

        _say(hub.push(refined, args.push_to, card_text=card, private=args.private or None))


def _score(args: argparse.Namespace) -> None:
    from rbic_hf import output
    from rbic_hf.refinery import score

    arguments = _arguments(args)
    out = _out(args, args.source)
    scored = score(_load(args.source, args.split, args.revision), **arguments)
    output.save(scored, out / "scored")
    _say(f"{scored.num_rows} rows scored, in {out / 'scored'}; next: rbic select {out / 'scored'}")


def _select(args: argparse.Namespace) -> None:
    from rbic_hf import output

    source = _inside(args.scored, "scored")
    out = _out(args, args.scored)
    scored = _load(source, args.split)
    column = PROXY_COLUMNS.get(args.method)
    if column is not None and column not in scored.column_names:
        from rbic_hf.likelihood_columns import with_likelihoods

        scored = with_likelihoods(
            scored, args.proxy, columns=_columns(args), cache_dir=args.cache_dir
        )
    output.select_to_folder(
        scored,
        out,
        scored_folder=Path(source),
        ratio=args.ratio,
        unit=args.unit,
        method=args.method,
        seed=args.seed,
        say=_say,
    )


def _report(args: argparse.Namespace) -> None:
    import json

    from rbic_hf.reporting import report

    scored = _load(_inside(args.scored, "scored"), args.split)
    refined = _load(_inside(args.refined, "refined"), args.split)
    found = report(scored, refined)
    _say(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if args.json else str(found))
    if args.pictures:
        from rbic_hf.pictures import draw

        drawn = draw(scored, refined, args.pictures)
        if not args.json:
            _say(f"\n{len(drawn)} files of pictures in {args.pictures}")


def _demo(args: argparse.Namespace) -> None:
    from rbic_hf.demo import run_demo

    run_demo(args.out, ratio=args.ratio, say=_say, cache_dir=args.cache_dir)


if __name__ == "__main__":
    sys.exit(main())
