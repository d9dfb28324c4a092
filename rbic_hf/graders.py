"""Who judges an answer: the project's own grader, or a callable of the user's.

The user's callable runs in worker processes as well: one that raises, hangs or takes all memory
gives null for its pair and nothing else. It is carried there with dill, as `datasets` carries the
function of a `map`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from rbic_hf import grading
from rbic_hf.errors import ConfigError
from rbic_hf.workers import WorkerPool

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
        self._function = base64.b64encode(carried).decode("ascii")
        self._pool = WorkerPool("rbic_hf.graders:_judge", warm_up=(self._function, None, None))

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
        pairs = list(zip(references, answers, strict=True))
        judged = self._pool.map(
            [(self._function, *pair) for pair in pairs if pair[0] is not None],
            timeout_s=TIMEOUT_S,
            num_proc=min(os.cpu_count() or 1, _MAX_WORKERS),
        )
        verdicts = iter(judged)
        return [None if reference is None else next(verdicts) for reference, _ in pairs]


def resolve_grader(grader: GraderFunction | Grader | None) -> Grader:
    """Return the grader that was asked for; None: the project's own."""
    if grader is None:
        return Grader()
    return grader if isinstance(grader, Grader) else OwnGrader(grader)


def _judge(carried: str, reference: str | None, answer: str | None) -> grading.Verdict:
    """Call the function; runs in a worker. Without a reference it is only loaded."""
    function = _loaded(carried)
    if reference is None or answer is None:
        return None
    verdict = function(reference, answer)
    return None if verdict is None or verdict not in (0, 1) else bool(verdict)


@lru_cache(maxsize=1)
def _loaded(carried: str) -> GraderFunction:
    import dill

    function: GraderFunction = dill.loads(base64.b64decode(carried))
    return function
