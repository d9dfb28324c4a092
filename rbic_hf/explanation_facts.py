"""What the columns of a row say of it, in plain words and numbers: why it was kept or not, and
what its contribution is made of. Pure: from values of columns to sentences and terms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbic_hf.columns import BUDGET, CLEAN, KEPT
from rbic_hf.contribution import (
    ANSWER_WEIGHTS,
    BRANCH_PENALTY,
    LOOP_PENALTY,
    MIDDLE,
    MOST_PENALISED,
)
from rbic_hf.plain_text import one_line

Columns = Mapping[str, Any]

LABEL_LENGTH = 60
FURTHER_NOTE = "what a model says of the response, weighted (gain_weight, entropy_weight)"
ANSWER_NOTES = {
    "verified": "verified",
    "unverifiable": "unverifiable: there is no other answer to hold it against, or nobody can say",
    "contradicted": "contradicted by the reference",
}
MOST_NAMED = 8  # rows of a duplicate group

STATUS_MEANINGS = {
    KEPT: "kept: it is in the refined dataset",
    CLEAN: "usable; its rank says which ratio keeps it",
    BUDGET: "usable, but not kept: it lies beyond the budget",
    "duplicate": "set aside: question, response and reference are those of an earlier row",
    "no_question": "set aside: it has no question",
    "no_response": "set aside: it has no response, or none with an answer",
    "not_text": "set aside: a column that should hold text or messages holds something else",
    "multi_turn": "set aside: it is a conversation of several turns",
    "tool_call": "set aside: its answer comes from a tool call",
    "too_long": "set aside: it is longer than the training length (RbicConfig.max_length)",
    "unfinished_thinking": "set aside: its thinking was cut off before an answer",
    "repetition": "set aside: its response runs in a loop",
    "refusal": "set aside: its response declines to answer",
    "cut_off": "set aside: its response breaks off",
    "mixed_language": "set aside: its response switches between languages",
    "contaminated": "set aside: its question is a benchmark's; rbic_contaminated_by says whose",
    "not_embedded": "set aside: the encoder gave no usable vector for its question",
}
TERMS = ("rbic_depth_z", "rbic_branch_z", "rbic_loop_z", "rbic_further_z", "rbic_percentile",
         "rbic_confidence", "rbic_answer", "rbic_contribution")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """What only the whole dataset knows of a row.

    Attributes:
        num_ranked: rows that have a rank.
        kept_from: unit -> smallest ratio at which `select` keeps the row, 0 for every ratio; empty
            where it has no rank or the pool is not here.
        is_selection: the rows are a selection without the rows that were not kept.
        in_domain: ranked rows of its domain before it, and in all; None where it has no rank.
        last_kept: the largest rank that was kept, where rows are marked kept or not, and all
            smaller ranks were kept too; else None.
        group: other rows of its duplicate group, as (row, rank or None), best rank first.
    """

    num_ranked: int
    kept_from: Mapping[str, float]
    is_selection: bool
    in_domain: tuple[int, int] | None
    last_kept: int | None
    group: Sequence[tuple[int, int | None]]


@dataclass(frozen=True)
class Term:
    """One line of the sum that makes a contribution.

    Attributes:
        name: what it is, as in the formula.
        value: its number; a penalty is >= 0 and taken away.
        note: why it has this value.
    """

    name: str
    value: float
    note: str


def number(columns: Columns, name: str) -> float | None:
    """Return the number in a column; None where it is missing, null or no number."""
    value = columns.get(name)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def word(columns: Columns, name: str) -> str | None:
    """Return the text in a column as a short harmless line; None where there is none."""
    value = columns.get(name)
    return one_line(value, LABEL_LENGTH) if isinstance(value, str) and value.strip() else None


def contribution_terms(columns: Columns) -> tuple[Term, ...]:
    """Return the terms of a contribution in the order in which they add up; () where one is null.

    work = depth - branch penalty - loop penalty; its percentile; drawn to .5 by the confidence;
    times the weight of the answer.
    """
    values = [number(columns, name) for name in TERMS if name != "rbic_answer"]
    answer = word(columns, "rbic_answer")
    weight = ANSWER_WEIGHTS.get(answer or "")
    if weight is None or any(value is None for value in values):
        return ()
    depth, branch, loop, further, percentile, confidence, contribution = (
        float(v or 0) for v in values
    )
    by_branch, by_loop = BRANCH_PENALTY * max(branch, 0), LOOP_PENALTY * max(loop, 0)
    drawn = MIDDLE + confidence * (percentile - MIDDLE)
    return (
        Term("z_depth", depth, _depth_note(columns, depth)),
        Term("branch penalty", by_branch, _penalty_note("branches", branch, BRANCH_PENALTY)),
        Term("loop penalty", by_loop, _penalty_note("repeats", loop, LOOP_PENALTY)),
        *([Term("model terms", further, FURTHER_NOTE)] if further else []),
        Term("work", depth - by_branch - by_loop + further, "the sum of the above"),
        Term("percentile", percentile, "of the work among rows of its tier and length decile"),
        Term("confidence", confidence, _confidence_note(confidence)),
        Term("drawn to the middle", drawn, ".5 + confidence × (percentile - .5)"),
        Term("answer weight", weight, f"its final answer is {ANSWER_NOTES[answer or '']}"),
        Term("contribution", contribution, "drawn to the middle × answer weight"),
    )


def verdict(columns: Columns, place: Place | None) -> tuple[str, ...]:
    """Return why the row was kept or not, one sentence each; () where it was not scored."""
    status = word(columns, "rbic_status")
    if status is None:
        return ()
    said = [STATUS_MEANINGS.get(status, f"status {status!r}, which this version does not know")]
    if status in (KEPT, CLEAN, BUDGET):
        said += _rank_sentences(columns, place)
    elif status == "duplicate" and place is not None and place.group:
        said.append(f"the row that stands for it: {_named_rows(place.group)}")
    elif by := word(columns, "rbic_contaminated_by"):
        said.append(f"found by {by}")
    elif status == "too_long" and (tokens := number(columns, "rbic_tokens")) is not None:
        said.append(f"{tokens:,.0f} tokens")
    return (*said, *_difficulty(columns), *_domain(columns), *_cost(columns))


def shown_ratio(ratio: float) -> str:
    """Return a ratio as text, rounded up, so that what is kept at it is kept at the text too."""
    places = 3 if ratio >= 0.01 else 3 - math.floor(math.log10(max(ratio, 1e-12))) - 2
    scaled = math.ceil(ratio * 10**places - 1e-9) / 10**places
    return f"{min(scaled, 1.0):.{places}f}".removeprefix("0")


def _rank_sentences(columns: Columns, place: Place | None) -> list[str]:
    rank = number(columns, "rbic_rank")
    if rank is None and columns.get("rbic_status") == KEPT:
        return ["no rank: the rows kept here were not chosen by rank"]
    if rank is None:
        return [_instead(place)] if "rbic_rank" in columns else []
    if place is None:
        return [f"rank {rank:,.0f} in the pick order (0 is picked first)"]
    if place.is_selection:
        return [
            f"rank {rank:,.0f} in the pick order of its pool (0 is picked first); the rows that "
            "were not kept are not here, so whether the rank kept it, and from which ratio on, "
            "cannot be told: explain it in the scored dataset"
        ]
    said = f"rank {rank:,.0f} of {place.num_ranked:,} in the pick order (0 is picked first)"
    found = [f"{said}: {_ratios(place.kept_from)}"]
    if place.in_domain is not None:
        before, total = place.in_domain
        found.append(
            f"{before:,} of the {total:,} ranked rows of its domain are picked before it: cells of "
            "domain, tier and length take turns, and in a cell coverage counts beside the "
            "contribution (RbicConfig.contribution_weight)"
        )
    if place.last_kept is not None:
        found.append(f"the budget ended after rank {place.last_kept:,}")
    if others := place.group:
        found.append(f"of its near-duplicate questions it is picked first: {_named_rows(others)}")
    return found


def _ratios(kept_from: Mapping[str, float]) -> str:
    if not kept_from:
        return "the rows kept here were not chosen by rank"
    if not any(kept_from.values()):
        return "kept at every ratio"
    units = [f"{shown_ratio(ratio)} of the {unit}" for unit, ratio in kept_from.items()]
    return "kept from ratio " + ", ".join(units) + " on"


def _instead(place: Place | None) -> str:
    said = (
        "no rank, kept at no ratio: of its group of near-duplicate questions another row is "
        "picked instead (at most RbicConfig.max_per_group are)"
    )
    return f"{said}: {_named_rows(place.group)}" if place is not None and place.group else said


def _named_rows(group: Sequence[tuple[int, int | None]]) -> str:
    named = [
        f"row {row}" + (" without a rank" if rank is None else f" with rank {rank}")
        for row, rank in group[:MOST_NAMED]
    ]
    more = len(group) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _difficulty(columns: Columns) -> list[str]:
    tier, rate = word(columns, "rbic_tier"), number(columns, "rbic_pass_rate")
    if tier is None or rate is None:
        return ["difficulty: not measured"] if "rbic_tier" in columns else []
    std, prior = number(columns, "rbic_pass_rate_std"), number(columns, "rbic_prior")
    rollouts, correct = number(columns, "rbic_rollouts"), number(columns, "rbic_correct")
    said = f"difficulty: {tier}, pass rate {rate:.2f}" + (f" ± {std:.2f}" if std else "")
    if rollouts and correct is not None:
        said += f", {correct:.0f} of {rollouts:.0f} rollouts right"
    elif why := word(columns, "rbic_probe"):
        said += f", predicted ({why})"
    return [said + (f"; {prior:.2f} was expected from its neighbours" if prior else "")]


def _domain(columns: Columns) -> list[str]:
    domain, label = number(columns, "rbic_domain"), word(columns, "rbic_domain_label")
    if domain is None:
        return []
    core = number(columns, "rbic_core")
    said = f"knowledge domain {domain:.0f}" + (f' "{label}"' if label else "")
    return [said + (f"; more central than {core:.0%} of it" if core is not None else "")]


def _cost(columns: Columns) -> list[str]:
    tokens, cost = number(columns, "rbic_tokens"), number(columns, "rbic_cost")
    if tokens is None or cost is None or columns.get("rbic_status") == "too_long":
        return []
    return [f"{tokens:,.0f} tokens, training cost {cost:,.0f}"]


def _depth_note(columns: Columns, z: float) -> str:
    depth, tokens = number(columns, "rbic_depth"), number(columns, "rbic_tokens")
    usual = "as deep as" if abs(z) < 0.05 else "deeper than" if z > 0 else "shallower than"
    than = f"{usual} usual"
    if depth is None or tokens is None:
        return than
    return f"depth {depth:.0f} at {tokens:,.0f} tokens: {than}"


def _penalty_note(what: str, z: float, weight: float) -> str:
    if z <= 0:
        return f"no more {what} than usual (z {z:.3f}); fewer are no merit"
    most = ", the most that counts" if z >= MOST_PENALISED else ""
    return f"{weight:g} × z {z:.3f}{most}: more {what} than usual at its length"


def _confidence_note(confidence: float) -> str:
    if confidence <= 0:
        return "too few symbols to follow: nothing is known, the middle is taken"
    return "share of the reasoning that symbols carry"
