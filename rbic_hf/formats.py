"""Rows of the common reasoning datasets -> question, thinking, solution, reference answer.

Stage 0, after `layouts` has found where a dataset keeps what: each row is read by itself, and a
row that cannot be used says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rbic_hf.final_answers import final_answer, reference_answer
from rbic_hf.hygiene import is_cut_off, is_looping, is_refusal, language_of, mixes_languages
from rbic_hf.thinking import split_thinking, unwrap_solution
from rbic_hf.values import answer_text, encodable, plain_text

VERSION = 2  # bump when output changes

# Why a row is set aside, in the order in which it is asked; "clean" = it is not.
STATUSES = (
    "not_text",
    "no_question",
    "no_response",
    "multi_turn",
    "tool_call",
    "unfinished_thinking",
    "repetition",
    "refusal",
    "cut_off",
    "mixed_language",
    "clean",
)


@dataclass(frozen=True)
class Reading:
    """One row as the later stages see it.

    Attributes:
        question: what is asked; "" when missing.
        thinking: the think part without its markers; "" when the row has none.
        solution: the visible text after the thinking, without the markers around it.
        response: the whole response as trained on, thinking and markers included.
        reference: the answer column's value, else the final answer written in the solution;
            None = nobody can grade this row. Several choices are one word ("AC"), other lists
            are joined by ", ", integral numbers have no point.
        own_answer: the final answer that the response itself ends in; None = not found.
        language: "zh", "en" or "other".
        is_reference_given: the reference is a column's; False: it is the response's own answer, or
            there is none.
        status: "clean", or the first of `STATUSES` that says why the row is set aside.
    """

    question: str
    thinking: str
    solution: str
    response: str
    reference: str | None
    own_answer: str | None
    language: str
    status: str
    is_reference_given: bool = False


@dataclass(frozen=True)
class Layout:
    """Where a dataset keeps what.

    Attributes:
        name: "question/answer", "messages", "conversations", "alpaca", ...
        columns: role -> column, for the `layouts.ROLES` that the dataset has. `answer` may be
            the same column as `response`, when the thinking is in a column of its own.
    """

    name: str
    columns: Mapping[str, str]


class _Turn(NamedTuple):
    speaker: str  # user, assistant, system, tool, other
    text: str
    thinking: str
    calls_tool: bool


_SILENCE = _Turn("assistant", "", "", False)


class _Exchange(NamedTuple):
    question: str
    response: str  # without the thinking that is in a column of its own
    thinking: str
    fault: str | None  # not_text, multi_turn, tool_call


SPEAKER_OF_ROLE = {"question": "user", "response": "assistant", "conversation": ""}

_TOOLS = "tool function function_call function_response tool_call tool_response observation ipython"
_SPEAKERS = {
    name: speaker
    for speaker, names in (
        ("user", "user human"),
        ("assistant", "assistant gpt model chatgpt"),
        ("system", "system developer"),
        ("tool", _TOOLS),
    )
    for name in names.split()
}


def read_row(layout: Layout, row: Mapping[str, Any]) -> Reading:
    """Return what one row says; never raises, a row that cannot be used says why in `status`."""
    values = _values(layout, row)
    exchange = _exchange(values)
    parts = split_thinking(exchange.response)
    thinking = parts.thinking or exchange.thinking.strip()
    response = exchange.response
    if thinking and not parts.thinking and parts.finished:
        # A think part from a column of its own is trained on like one that was written inline.
        response = f"<think>\n{thinking}\n</think>\n\n{parts.visible}"
    solution = unwrap_solution(parts.visible)
    own = _last_word(parts.visible, solution, thinking)
    language = language_of(f"{exchange.question[:2000]}\n{solution[:2000] or thinking[:2000]}")
    status = _status(exchange, parts.finished, bool(solution or own), response)
    if status == "clean":
        status = _fault_of_text(exchange.question, response, solution or thinking, own)
    reference = reference_answer(values.get("answer"), own)
    apart = layout.columns.get("answer") != layout.columns.get("response")
    given = apart and reference is not None and answer_text(values.get("answer")) is not None
    return Reading(
        exchange.question, thinking, solution, response, reference, own, language, status, given
    )


def own_answer(response: str) -> str | None:
    """Return the final answer that a response as read ends in; None = not found."""
    parts = split_thinking(response)
    return _last_word(parts.visible, unwrap_solution(parts.visible), parts.thinking)


def _last_word(visible: str, solution: str, thinking: str) -> str | None:
    return final_answer(visible) if solution else final_answer(thinking)


def _status(exchange: _Exchange, finished: bool, answered: bool, response: str) -> str:
    if exchange.fault == "not_text":
        return "not_text"
    if not exchange.question:
        return "no_question"
    if not response.strip() or (finished and not answered):
        return "no_response"
    if exchange.fault:
        return exchange.fault
    return "clean" if finished else "unfinished_thinking"


def _fault_of_text(question: str, response: str, solution: str, own: str | None) -> str:
    """The first thing that the text of a complete response says against it, else "clean"."""
    if is_looping(response):
        return "repetition"
    if own is None and is_refusal(solution):
        return "refusal"
    if own is None and is_cut_off(solution):
        return "cut_off"
    return "mixed_language" if mixes_languages(question, response) else "clean"


def _values(layout: Layout, row: Mapping[str, Any]) -> dict[str, Any]:
    """role -> value; a row that is no mapping gives a question that is no text."""
    if not isinstance(row, Mapping):
        return {"question": _NOT_TEXT}
    values = {role: row.get(column) for role, column in layout.columns.items()}
    said = values.get("response")
    if layout.columns.get("answer") == layout.columns.get("response") and not isinstance(said, str):
        values["response"] = answer_text(said)
    return values


_NOT_TEXT = object()


def _exchange(values: Mapping[str, Any]) -> _Exchange:
    """The question and the response of one row, from text or from messages."""
    turns: list[_Turn] = []
    for role, speaker in SPEAKER_OF_ROLE.items():
        some = as_turns(values.get(role), speaker)
        if some is None:
            return _Exchange("", "", "", "not_text")
        turns += some
    context, thinking = plain_text(values.get("context")), plain_text(values.get("thinking"))
    if context is None or thinking is None:
        return _Exchange("", "", "", "not_text")
    asked = next((turn.text for turn in turns if turn.speaker == "user"), "")
    question = "\n\n".join(text.strip() for text in (asked, context) if text.strip())
    last = next((turn for turn in reversed(turns) if turn.speaker == "assistant"), _SILENCE)
    fault = "multi_turn" if is_filled(values.get("history")) else _fault(turns)
    return _Exchange(question, last.text, last.thinking or thinking, fault)


def _fault(turns: Sequence[_Turn]) -> str | None:
    """Why turns are more than one question and its answer; system messages do not count."""
    speakers = [turn.speaker for turn in turns if turn.speaker != "system"]
    if speakers.count("user") > 1 or "other" in speakers:
        return "multi_turn"
    if "tool" in speakers or any(turn.calls_tool for turn in turns):
        return "tool_call"
    if speakers.count("assistant") > 1 or speakers == ["assistant", "user"]:
        return "multi_turn"
    return None


def as_turns(value: Any, speaker: str) -> list[_Turn] | None:
    """Return messages, or one text by a known speaker, as turns; None = neither."""
    if value is None:
        return []
    if isinstance(value, str):
        return [_Turn(speaker, encodable(value), "", False)] if speaker else None
    messages = _unzip(value) if isinstance(value, Mapping) else value
    if not isinstance(messages, list | tuple):
        return None
    turns = [_turn(message) for message in messages if isinstance(message, Mapping)]
    found = [turn for turn in turns if turn is not None]
    return found if len(found) == len(messages) else None


def _unzip(value: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """One message, or the dict of lists that older versions of `datasets` make of messages."""
    lists = {key: items for key, items in value.items() if isinstance(items, list)}
    if "role" in lists or "from" in lists:
        return [
            dict(zip(lists, items, strict=True)) for items in zip(*lists.values(), strict=False)
        ]
    return [value]


def _turn(message: Mapping[Any, Any]) -> _Turn | None:
    """One message of any of the usual spellings; None = no speaker, or no text."""
    name = _first(message, ("role", "from"))
    if not isinstance(name, str):
        return None
    speaker = _SPEAKERS.get(name.lower(), "other")
    said, thought = _parts(_first(message, ("content", "value")))
    text = plain_text(said)
    thinking = _first(message, ("reasoning_content", "thinking", "reasoning")) or thought
    calls = _first(message, ("tool_calls", "function_call"))
    if text is None and speaker in ("user", "assistant"):
        return None
    return _Turn(
        speaker,
        text or "",
        encodable(thinking) if isinstance(thinking, str) else "",
        is_filled(calls),
    )


def _parts(content: Any) -> tuple[Any, str | None]:
    """A message's content without the parts of type "thinking" (Anthropic, Mistral), and these."""
    if not isinstance(content, list | tuple):
        return content, None
    is_thought = [isinstance(p, Mapping) and p.get("type") == "thinking" for p in content]
    if not any(is_thought):
        return content, None
    pairs = list(zip(content, is_thought, strict=True))
    thoughts = [plain_text(part.get("thinking")) or "" for part, thought in pairs if thought]
    return [part for part, thought in pairs if not thought], "\n".join(thoughts)


def is_filled(value: Any) -> bool:
    """Return whether a column's value says anything."""
    return isinstance(value, list | str | Mapping) and value not in ("", "[]", "null", [], {})


def _first(message: Mapping[Any, Any], keys: Iterable[str]) -> Any:
    return next((message[key] for key in keys if message.get(key) is not None), None)
