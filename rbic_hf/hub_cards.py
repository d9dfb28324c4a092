"""A new card into the card that is on the Hub: a person's metadata and text survive.

Pure text. Only the part between the markers is ours; `configs` and `dataset_info` belong to the
data push.
"""

from __future__ import annotations

from typing import Any

CARD_START = "<!-- rbic:start -->"
CARD_END = "<!-- rbic:end -->"

_DATA_KEYS = frozenset({"configs", "dataset_info"})  # written by the data push, never by a card
_DERIVED_KEYS = frozenset({"size_categories"})  # a fact about the rows just pushed, no opinion


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Return the metadata and the body of a README; without a header it is all body."""
    from huggingface_hub import DatasetCard

    if not text.lstrip().startswith("---"):
        return {}, text
    card = DatasetCard(text)
    return dict(card.data.to_dict()), card.text  # type: ignore[no-untyped-call]


def merge_card(current: str, card_text: str) -> str:
    """Return the card on the Hub with our metadata added and our marked part renewed."""
    from huggingface_hub import DatasetCard

    ours, body = split_card(card_text)
    card = DatasetCard(current or "---\n{}\n---\n")
    for key in (key for key in ours if key not in _DATA_KEYS):
        present = card.data.get(key)
        if key == "tags" and isinstance(present, list):
            card.data[key] = [*present, *(tag for tag in ours[key] if tag not in present)]
        elif present is None or key in _DERIVED_KEYS:
            card.data[key] = ours[key]
    card.text = _merge_body(card.text, body)
    return str(card)


def _merge_body(current: str, ours: str) -> str:
    """Return `current` with its marked part replaced by that of `ours`, or by all of `ours`."""
    before, inside, after = _marked_part(ours) or ("", ours, "")
    for marker in (CARD_START, CARD_END):
        inside = inside.replace(marker, "")  # a row's text cannot end our part
    block = f"{CARD_START}\n{inside.strip()}\n{CARD_END}"
    if (marked := _marked_part(current)) is not None:
        return marked[0] + block + marked[2]
    if current.strip():
        return f"{current.rstrip()}\n\n{block}\n"
    parts = (part.strip() for part in (before, block, after))
    return "\n" + "\n\n".join(part for part in parts if part) + "\n"


def _marked_part(text: str) -> tuple[str, str, str] | None:
    """Return the text before, between and after the last end marker and the last start before it.

    So a start marker whose end somebody deleted never swallows the text below it.
    """
    end = text.rfind(CARD_END)
    start = text.rfind(CARD_START, 0, max(end, 0))
    if start < 0:
        return None
    return text[:start], text[start + len(CARD_START) : end], text[end + len(CARD_END) :]
