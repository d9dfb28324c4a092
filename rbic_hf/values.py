"""Values of unknown type as text, or as nothing: what a dataset's cell says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain_text(value: Any) -> str | None:
    """The text of a value that is text, missing, or a list of text parts; None = something else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return encodable(value)
    if not isinstance(value, list | tuple):
        return None
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
    found = [encodable(text) for text in texts if isinstance(text, str)]
    return "\n".join(found) if len(found) == len(texts) else None


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, which neither Arrow nor a tokenizer can encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def answer_text(value: Any) -> str | None:
    """A text, number or flat list as text; None = missing, or nothing that can be compared."""
    if isinstance(value, list | tuple):
        items = [None if isinstance(v, list | tuple) else answer_text(v) for v in value]
        texts = [item for item in items if item is not None]
        if not texts or len(texts) < len(items):
            return None
        are_letters = all(len(text) == 1 and "A" <= text <= "Z" for text in texts)
        return ("" if are_letters else ", ").join(texts)
    if isinstance(value, str):
        return encodable(value).strip() or None
    if isinstance(value, bool):
        return str(value)
    return _number_text(value) if isinstance(value, int | float) else None


def _number_text(value: int | float) -> str | None:
    if isinstance(value, float) and not value.is_integer():
        return str(value) if math.isfinite(value) else None
    # Python refuses to print integers of more than 4300 digits.
    return str(int(value)) if int(value).bit_length() <= 10_000 else None
