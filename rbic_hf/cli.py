"""The command line: `rbic refine`, `score`, `select`, `report`, `explain`, `demo`.

Exit codes: 0 done, 2 bad arguments, 1 a failed run with one plain line (traceback with --debug).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rbic_hf.cli_parser import COLUMN_ROLES, build_parser
from rbic_hf.config import PROXY_COLUMNS, RbicConfig
from rbic_hf.errors import ConfigError, RbicError

# dataset texts reach the terminal only in labels and errors; control characters never do
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser(RUNS)
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
        "benchmarks": args.benchmark,
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


def _refine(args: argparse.Namespace) -> None:
    from rbic_hf import output

    arguments = _arguments(args)
    out = output.folder_for(args.out, args.source)
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
    out = output.folder_for(args.out, args.source)
    scored = score(_load(args.source, args.split, args.revision), **arguments)
    output.save(scored, out / "scored")
    _say(f"{scored.num_rows} rows scored, in {out / 'scored'}; next: rbic select {out / 'scored'}")


def _select(args: argparse.Namespace) -> None:
    from rbic_hf import output

    source = _inside(args.scored, "scored")
    out = output.folder_for(args.out, args.scored)
    scored = _load(source, args.split)
    column = PROXY_COLUMNS.get(args.method)
    if args.proxy and column is None:
        raise ConfigError(f"--proxy goes with --method {', '.join(PROXY_COLUMNS)}")
    if column is not None and (args.proxy or column not in scored.column_names):
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


def _explain(args: argparse.Namespace) -> None:
    from rbic_hf import explanation, output

    output.check_files(args.html, args.svg)
    # what `rbic select` wrote has no scored part
    source = _inside(_inside(args.scored, "scored"), "refined")
    scored = _load(source, args.split)
    found = explanation.explain(scored, args.row, key=args.key, columns=_columns(args))
    _say(found.as_text(show_all=args.all))
    refined = Path(args.scored).expanduser() / "refined"
    if source.endswith("scored") and refined.is_dir():
        key = args.key or scored[args.row]["rbic_key"]
        is_kept = key in set(_load(str(refined), args.split)["rbic_key"])
        _say(f"\nin {refined}: {'kept' if is_kept else 'not kept'}")
    for path, rendered in ((args.html, found.as_html), (args.svg, found.as_svg)):
        if path:
            path.write_text(rendered(), "utf-8")
            _say(f"written: {path}")


def _demo(args: argparse.Namespace) -> None:
    from rbic_hf.demo import run_demo

    run_demo(args.out, ratio=args.ratio, say=_say, cache_dir=args.cache_dir)


RUNS = {
    "refine": _refine,
    "score": _score,
    "select": _select,
    "report": _report,
    "explain": _explain,
    "demo": _demo,
}


if __name__ == "__main__":
    sys.exit(main())
