"""Whether a row's own answer agrees with its reference, judged as the rollouts are."""

from __future__ import annotations

from rbic_hf import cached
from rbic_hf.graders import OwnGrader
from rbic_hf.pool import Pool
from rbic_hf.request import Request
from rbic_hf.store import Store


def check_answers(pool: Pool, request: Request) -> list[str]:
    """Return verified, contradicted or unverifiable: the row's own answer against its reference."""
    grader = request.grader
    store = Store.open(request.cache_dir, "verdicts", grader.spec)
    # the user's grader expects what it gets of a model: a whole text
    whole = isinstance(grader, OwnGrader)
    pairs = [(r.reference, (r.response if whole else r.own_answer) or "") for r in pool.readings]
    answered = [
        i
        for i, reading in enumerate(pool.readings)
        # a row whose reference is its own answer proves nothing by agreeing with itself
        if reading.is_reference_given and pairs[i][1] and grader.is_gradable(pairs[i][0])
    ]
    judged = cached.verdicts(
        grader,
        store,
        [pairs[i][0] for i in answered],
        [pairs[i][1] for i in answered],
        desc="Answers",
    )
    words = {True: "verified", False: "contradicted", None: "unverifiable"}
    answers = ["unverifiable"] * len(pairs)
    for i, verdict in zip(answered, judged, strict=True):
        answers[i] = words[verdict]
    return answers
