"""Who judges an answer: the project's own grader, or a callable of the user's.

The user's callable runs in worker processes as well: one that raises, hangs or takes all memory
gives null for its pair and nothing else. It is carried there with dill, as `datasets` carries the
function of a `map`.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rbic_hf import grading
from rbic_hf.errors import ConfigError
from rbic_hf.workers import WorkerPool

logger = logging.getLogger("rbic_hf")

GraderFunction = Callable[[str, str], "bool | None"]

TIMEOUT_S = 10.0
_MAX_WORKERS = 4


class Grader:
    """The project's own grader: see `grading`.

    Attributes:
        spec: what identifies its verdicts in a store; None: they are not kept.
    """

    spec: Mapping[str, Any] | None = {"grade": grading.VERSION}

    def is_gradable(self, reference: str | None) -> bool:
        """Return whether answers can be judged against this reference."""
        return grading.is_gradable(reference)

    def grade(
        self, references: Sequence[str | None], answers: Sequence[str]
    ) -> list[grading.Verdict]:
        """Return True, False or None (nobody can say) per pair."""
        return grading.grade(references, answers)


class OwnGrader(Grader):
    """A callable of the user's: `grader(reference, answer) -> bool | None`.

    `answer` is the whole generated text. Every row with a reference is judged; a call that raises,
    returns something else or needs more than ten seconds gives None.

    Raises:
        ConfigError: it is no callable, or it cannot be carried to a worker process.
    """

    spec = None  # nothing tells whether the function is still the same

    def __init__(self, function: GraderFunction) -> None:
        if not callable(function):
            raise ConfigError(
                f"grader={function!r} is not accepted; give a callable (reference, answer) -> "
                "True, False or None"
            )
        import dill

        try:
            carried = dill.dumps(function, recurse=True)
        except Exception as error:  # dill raises whatever the objects inside raise
            raise ConfigError(
                f"grader={function!r} cannot be carried to a worker process "
                f"({type(error).__name__}: {error}); keep models and open files out of it"
            ) from error
        # the function goes to a worker once, when it starts, and not with every pair
        warm_up = (base64.b64encode(carried).decode("ascii"),)
        self._pool = WorkerPool("rbic_hf.graders:_judge", warm_up=warm_up)
        self._has_complained = False

    def is_gradable(self, reference: str | None) -> bool:
        """Return whether there is a reference."""
        return reference is not None

    def grade(
        self, references: Sequence[str | None], answers: Sequence[str]
    ) -> list[grading.Verdict]:
        """Return the callable's verdicts; None where it has none.

        Raises:
            ModelError: the callable cannot be loaded in a worker process.
        """
        places = [i for i, reference in enumerate(references) if reference is not None]
        judged = self._pool.map(
            [(None, references[i], answers[i]) for i in places],
            timeout_s=TIMEOUT_S,
            num_proc=min(os.cpu_count() or 1, _MAX_WORKERS),
        )
        verdicts: list[grading.Verdict] = [None] * len(references)
        reasons = []
        for i, found in zip(places, judged, strict=True):
            verdicts[i], reason = found or (None, f"more than {TIMEOUT_S:.0f} s, or it died")
            reasons += [reason] if reason else []
        if reasons and not self._has_complained:
            self._has_complained = True
            logger.warning(
                "your grader failed on %d of %d answers, which are unknown; the first: %s",
                len(reasons), len(places), reasons[0],
            )  # fmt: skip
        return verdicts


def resolve_grader(grader: GraderFunction | Grader | None) -> Grader:
    """Return the grader that was asked for; None: the project's own."""
    if grader is None:
        return Grader()
    return grader if isinstance(grader, Grader) else OwnGrader(grader)


_function: GraderFunction | None = None  # of this worker process


def _judge(
    carried: str | None, reference: str = "", answer: str = ""
) -> tuple[grading.Verdict, str | None]:
    """Return the function's verdict, or why there is none; runs in a worker.

    The first call brings the function, the others the pairs.
    """
    global _function
    if carried is not None:
        import dill

        _function = dill.loads(base64.b64decode(carried))
        return None, None
    assert _function is not None
    try:
        verdict: Any = _function(reference, answer)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"[:300]
    if verdict is None:
        return None, None
    if isinstance(verdict, str) or verdict not in (0, 1):
        return None, f"it returned {verdict!r:.100}, not True, False or None"
    return bool(verdict), None
