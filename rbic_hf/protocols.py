"""What an encoder and a prober have to offer; both are passed in as objects.

Only `spec`, JSON-able settings that name the engine, enters a cache key, never the object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

ChatMessage = dict[str, str]


@dataclass(frozen=True)
class Sample:
    """One generation of a prober.

    Attributes:
        text: the generated text, without the prompt.
        finish_reason: "stop" when the model ended by itself, "length" when it was cut at
            `max_new_tokens`; a cut generation is unknown, not wrong.
    """

    text: str
    finish_reason: str


@runtime_checkable
class Prober(Protocol):
    """A language model that is asked each question several times."""

    spec: Mapping[str, Any]

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> list[list[Sample] | None]:
        """Return `n` samples per prompt, one seed per prompt; None = this prompt was not probed."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Anything that maps texts to vectors, such as a SentenceTransformer."""

    def encode(self, sentences: list[str], /) -> Any:
        """Return an array of shape (n, d), one row per text."""
        ...
