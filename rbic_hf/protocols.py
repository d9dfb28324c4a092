"""What an encoder and a prober have to offer; both are passed in as objects.

Only `spec`, JSON-able settings that name the engine, enters a cache key, never the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

ChatMessage = dict[str, str]

# How much a killed run may lose. An engine holds fewer prompts at once than that, so that what has
# come back and is not on disk yet fits in as well (see `rollouts.py`).
MAX_LOST_PROMPTS = 64
MAX_IN_FLIGHT = 48

ENDED, CUT, FAILED = "stop", "length", "error"


@dataclass(frozen=True)
class Sample:
    """One generation of a prober.

    Attributes:
        text: the generated text, without the prompt.
        finish_reason: "stop" when the model ended by itself; "length" when it was cut at
            `max_new_tokens`; "error" when the engine gave up on this prompt, which the next run
            tries again. Only a generation that ended is graded: the others are unknown, not wrong.
        num_tokens: generated tokens; None where the engine does not tell.
    """

    text: str
    finish_reason: str
    num_tokens: int | None = None


Probed = tuple[int, list[Sample] | None]


@runtime_checkable
class Prober(Protocol):
    """A language model that is asked each question several times."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """JSON-able settings that determine the rollouts: model, revision, sampling."""
        ...

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> Iterable[Probed]:
        """Yield `(i, the n samples of prompts[i])` for every prompt, as they finish, in any order.

        `None` in place of the samples: the prompt is too long for the model. Sample k of a prompt
        is drawn with the seed `seeds[i] + k`, so that a fifth rollout can be asked for later. At
        most `MAX_IN_FLIGHT` prompts are worked on at once: what is not yielded yet is what a kill
        loses. An iterator that is closed early stops its engine's work.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """Anything that maps texts to vectors, such as a SentenceTransformer."""

    def encode(self, sentences: list[str], /) -> Any:
        """Return an array of shape (n, d), one row per text."""
        ...
