# /// script
# requires-python = ">=3.10"
# dependencies = ["rbic-hf"]
# ///
"""Refine a dataset of the Hub and push the result, with a card.

uv run refine_dataset.py openai/gsm8k user/gsm8k-rbic --ratio 0.16
"""

from __future__ import annotations

import argparse
import sys

from rbic_hf import ConfigError, RbicError, refine
from rbic_hf.config import check_ratio
from rbic_hf.hub import load_source


def main(argv: list[str] | None = None) -> int:
    """Load, refine, push; results go only to the Hub."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="Hub id of the dataset, or a local file")
    parser.add_argument("target", help="Hub id to push to, such as user/name")
    parser.add_argument("--ratio", type=float, default=0.16, help="share of the cost to keep")
    parser.add_argument("--split", help="split to refine (default: train)")
    parser.add_argument("--max-samples", type=int, help="only the first rows, to try it out")
    parser.add_argument("--encoder", help="embedding model")
    parser.add_argument(
        "--prober", help="who is asked: model, vllm:MODEL, address of a server, or auto"
    )
    parser.add_argument("--student", help="model that will be trained; counts the cost")
    parser.add_argument("--no-probe", action="store_true", help="no rollouts")
    parser.add_argument("--private", action="store_true", help="push to a private repository")
    args = parser.parse_args(argv)
    try:
        check_ratio(args.ratio)
        dataset = load_source(args.source, split=args.split or "train")
        if args.max_samples:
            dataset = dataset.select(range(min(args.max_samples, dataset.num_rows)))
        refine(
            dataset,
            args.ratio,
            encoder=args.encoder,
            prober=args.prober,
            student=args.student,
            probe=not args.no_probe,
            push_to=args.target,
            private=args.private or None,
        )
    except RbicError as error:
        print(f"refine_dataset: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    print(f"pushed to {args.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
