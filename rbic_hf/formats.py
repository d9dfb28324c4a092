"""Rows of the common reasoning datasets -> question, thinking, solution, reference answer.

Stage 0. A layout is recognised once, from column names and the first rows; two possible layouts
that read the same are one, two that differ are an error, because a guess would train on the
wrong text. Then each row is read by itself, and a row that cannot be used says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rbic_hf.errors import DataError
from rbic_hf.hygiene import (
    answer_text,
    encodable,
    final_answer,
    is_looping,
    language_of,
    plain_text,
    reference_answer,
    split_thinking,
    unwrap_solution,
)

VERSION = 1  # bump when output changes

ROLES = ("question", "context", "response", "thinking", "answer", "conversation", "history")

# Why a row is set aside, in the order in which it is asked; "clean" = it is not.
STATUSES = (
    "not_text",
    "no_question",
    "no_response",
    "multi_turn",
    "tool_call",
    "unfinished_thinking",
    "repetition",
    "clean",
)

_ACCEPTED = """\
  question | problem | prompt | query | input | instruction (+ input)
    with response | output | completion | solution | generated_solution | answer
    and, if there are any, reasoning | thinking | reasoning_content (+ content), and answer
  messages | conversations: a list of {role, content} or {from, value}
Or name the columns: question="...", response="...", thinking="...", answer="...",
conversation="..."."""


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


@dataclass(frozen=True)
class Layout:
    """Where a dataset keeps what.

    Attributes:
        name: "question/answer", "messages", "conversations", "alpaca", ...
        columns: role -> column, for the roles of `ROLES` that the dataset has. `answer` may be
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


# --- recognising a layout --------------------------------------------------------------------

_QUESTIONS = ("question", "problem", "instruction", "prompt", "query", "input")
_RESPONSES = ("response", "output", "completion", "solution", "generated_solution")
_CONVERSATIONS = ("messages", "conversations", "conversation")
_THINKING = ("thinking", "reasoning", "reasoning_content", "complex_cot", "chain_of_thought")
_SWITCHES = ("on", "off", "yes", "no", "true", "false", "low", "medium", "high")
_ANSWERS = ("answer", "final_answer", "expected_answer", "reference_answer", "ground_truth")


def recognise(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    named: Mapping[str, str | None] | None = None,
) -> Layout:
    """Return the layout of a dataset.

    Args:
        columns: all column names; case does not matter, those that start with `rbic_` are skipped.
        rows: the first few rows; types and values settle what names leave open.
        named: role -> column, given by the user; these are taken as they are, and also make
            preference data readable (`response="chosen"`).

    Raises:
        DataError: a named column or role does not exist, the layout is unknown or ambiguous, the
            columns hold no text, or the rows are preference pairs, KTO labels or tool calls.
    """
    table = _Table([c for c in columns if not c.startswith("rbic_")], rows)
    chosen = _check_named(table, named or {})
    if not chosen.keys() & {"response", "conversation"}:
        _refuse_other_kinds(table)
    layouts = _distinct(table, _candidates(table, chosen))
    if not layouts:
        raise DataError(f"No known layout in the columns {table.columns}. Accepted:\n{_ACCEPTED}")
    if len(layouts) > 1:
        raise DataError(
            f"Ambiguous: the columns {table.columns} can be read as "
            f"{' or '.join(repr(layout.name) for layout in layouts)}, with different texts. "
            'Name the columns: question="...", response="...", or conversation="...".'
        )
    _check_types(table, layouts[0])
    return layouts[0]


class _Table(NamedTuple):
    columns: list[str]
    rows: Sequence[Mapping[str, Any]]

    def find(self, names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
        """The columns with one of these names, in the order of the names."""
        skip = set(taken)
        return [c for name in names for c in self.columns if c.lower() == name and c not in skip]

    def values(self, column: str) -> list[Any]:
        """The values of the first rows that are not missing."""
        found = (row.get(column) for row in self.rows if isinstance(row, Mapping))
        return [value for value in found if value is not None]


def _check_named(table: _Table, named: Mapping[str, str | None]) -> dict[str, str]:
    chosen = {role: column for role, column in named.items() if column is not None}
    for role, column in chosen.items():
        if role not in ROLES:
            raise DataError(f"Unknown role {role!r}; accepted are {list(ROLES)}.")
        if column not in table.columns:
            raise DataError(
                f"Column {column!r}, named as {role}, is not in the dataset. "
                f"Current columns in the dataset: {table.columns}."
            )
    if "conversation" in chosen and chosen.keys() & {"question", "response", "context"}:
        raise DataError("Name either a conversation, or a question and a response, not both.")
    return chosen


def _refuse_other_kinds(table: _Table) -> None:
    """Raise on datasets that are about something else than how to reason."""
    lower = {column.lower() for column in table.columns}
    if {"chosen", "rejected"} <= lower:
        raise DataError(
            f"Preference pairs (chosen/rejected, as for DPO) in the columns {table.columns}: a row "
            "has two answers and none is the reasoning to learn. To use one side, name it: "
            'question="...", response="chosen".'
        )
    chat = table.find([*_CONVERSATIONS, "completion"])
    labels = [v for column in table.find(["label", "kto_tag"]) for v in table.values(column)]
    if chat and labels and all(isinstance(value, bool) for value in labels):
        raise DataError(
            f"Answers labelled true or false (as for KTO) in the columns {table.columns}: rows "
            "that are bad on purpose are no reasoning to learn. Keep the good rows, drop the label."
        )
    tools = [value for column in table.find(["tools"]) for value in table.values(column)]
    if any(map(_is_filled, tools)):
        raise DataError(
            f"Tool calls (a filled 'tools' column) in the columns {table.columns}: the answers "
            "come from functions, not from reasoning. Keep the rows without tools, drop the column."
        )


def _candidates(table: _Table, chosen: dict[str, str]) -> list[Layout]:
    """Every way to read the columns, question and response columns before conversations."""
    if "conversation" in chosen:
        return [_complete(table, chosen)]
    if chosen.keys() & {"question", "response"}:
        return _pairs(table, chosen)
    conversations = table.find(_CONVERSATIONS, chosen.values())
    # Beside a conversation a column "answer" is the reference, not a response.
    pairs = [] if conversations and not table.find(_RESPONSES) else _pairs(table, chosen)
    return pairs + [_complete(table, {**chosen, "conversation": c}) for c in conversations]


def _pairs(table: _Table, chosen: dict[str, str]) -> list[Layout]:
    questions = [chosen["question"]] if "question" in chosen else table.find(_QUESTIONS)
    context = _context(table, chosen, questions)
    questions = [column for column in questions if column != context]
    if not questions:
        return []
    thinking = chosen.get("thinking") or _one(table, _thinking_columns(table, chosen), "thinking")
    return [
        _complete(table, {**chosen, "question": question, "response": response}, thinking, context)
        for question in questions
        for response in _responses(table, chosen, thinking)
        if question != response
    ]


def _thinking_columns(table: _Table, chosen: dict[str, str]) -> list[str]:
    """Columns with reasoning in them; a switch such as `reasoning: on` is none."""
    found = table.find(_THINKING, chosen.values())
    return [column for column in found if not all(map(_is_switch, table.values(column) or [""]))]


def _is_switch(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value.lower() in _SWITCHES)


def _context(table: _Table, chosen: dict[str, str], questions: list[str]) -> str | None:
    """Alpaca's `input`, which belongs to the instruction beside it."""
    if "context" not in chosen and any(column.lower() == "instruction" for column in questions):
        return next(iter(table.find(["input", "context"], chosen.values())), None)
    return chosen.get("context")


def _responses(table: _Table, chosen: dict[str, str], thinking: str | None) -> list[str]:
    """Columns that may hold the response; the weaker names count where no stronger one is."""
    if "response" in chosen:
        return [chosen["response"]]
    if "thinking" in chosen and "answer" in chosen:
        return [chosen["answer"]]
    names = [*_RESPONSES, "content"] if thinking else _RESPONSES
    taken = chosen.values()
    return table.find(names, taken) or table.find(["answer"], taken) or [*filter(None, [thinking])]


def _complete(
    table: _Table, chosen: dict[str, str], thinking: str | None = None, context: str | None = None
) -> Layout:
    """The layout of the chosen columns, with the optional ones that go with them."""
    columns = {**chosen, "thinking": thinking or "", "context": context or ""}
    response = columns.get("response", "")
    if thinking == response:
        columns["thinking"] = ""
    if context:
        columns["history"] = next(iter(table.find(["history"], chosen.values())), "")
    if "answer" not in chosen:
        answer = _one(table, table.find(_ANSWERS, columns.values()), "answer")
        is_both = columns["thinking"] and response.lower() == "answer"
        columns["answer"] = answer or (response if is_both else "")
    columns = {role: columns[role] for role in ROLES if columns.get(role)}
    return Layout(_name(columns), columns)


def _one(table: _Table, found: list[str], role: str) -> str | None:
    """The only column for an optional role; columns that are empty or alike count once."""
    filled = [column for column in found if table.values(column)] or found[:1]
    texts = {tuple(map(answer_text, table.values(column))) for column in filled}
    if len(texts) > 1:
        raise DataError(f'Ambiguous: {filled} may each be the {role}. Name one: {role}="...".')
    return filled[0] if filled else None


def _name(columns: Mapping[str, str]) -> str:
    if "conversation" in columns:
        return columns["conversation"].lower()
    names = [
        columns[role].lower() for role in ("question", "thinking", "response") if role in columns
    ]
    return "alpaca" if names == ["instruction", "output"] else "/".join(names)


def _distinct(table: _Table, layouts: list[Layout]) -> list[Layout]:
    """The layouts without those that read the first rows like an earlier one, or not at all."""
    if len(layouts) < 2:
        return layouts
    found: dict[Any, Layout] = {}
    for layout in [x for x in layouts if _mistyped(table, x) is None] or layouts[:1]:
        read = [read_row(layout, row) for row in table.rows]
        key = tuple((r.question, r.response.strip()) for r in read) or layout.name
        found.setdefault(key, layout)
    return list(found.values())


def _check_types(table: _Table, layout: Layout) -> None:
    role = _mistyped(table, layout)
    if role is not None:
        column = layout.columns[role]
        wanted = "lists of messages" if role == "conversation" else "text"
        raise DataError(
            f"Column {column!r}, read as {role}, holds {type(table.values(column)[0]).__name__}, "
            f"not {wanted}. Columns: {table.columns}. Accepted:\n{_ACCEPTED}"
        )


def _mistyped(table: _Table, layout: Layout) -> str | None:
    """The first role whose column holds values, but none of the right type."""
    for role, speaker in _SPEAKER.items():
        column = layout.columns.get(role)
        values = table.values(column) if column else []
        if role == "response" and column == layout.columns.get("answer"):
            values = [answer_text(value) for value in values]
        if values and all(_turns(value, speaker) is None for value in values):
            return role
    return None


# --- reading one row -------------------------------------------------------------------------

_SPEAKER = {"question": "user", "response": "assistant", "conversation": ""}

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
    own = final_answer(parts.visible) if solution else final_answer(thinking)
    language = language_of(f"{exchange.question[:2000]}\n{solution[:2000] or thinking[:2000]}")
    status = _status(exchange, parts.finished, bool(solution or own), response)
    reference = reference_answer(values.get("answer"), own)
    return Reading(
        exchange.question, thinking, solution, response, reference, own, language, status
    )


def _status(exchange: _Exchange, finished: bool, answered: bool, response: str) -> str:
    if exchange.fault == "not_text":
        return "not_text"
    if not exchange.question:
        return "no_question"
    if not response.strip() or (finished and not answered):
        return "no_response"
    if exchange.fault:
        return exchange.fault
    if not finished:
        return "unfinished_thinking"
    return "repetition" if is_looping(response) else "clean"


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
    for role, speaker in _SPEAKER.items():
        some = _turns(values.get(role), speaker)
        if some is None:
            return _Exchange("", "", "", "not_text")
        turns += some
    context, thinking = plain_text(values.get("context")), plain_text(values.get("thinking"))
    if context is None or thinking is None:
        return _Exchange("", "", "", "not_text")
    asked = next((turn.text for turn in turns if turn.speaker == "user"), "")
    question = "\n\n".join(text.strip() for text in (asked, context) if text.strip())
    last = next((turn for turn in reversed(turns) if turn.speaker == "assistant"), _SILENCE)
    fault = "multi_turn" if _is_filled(values.get("history")) else _fault(turns)
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


def _turns(value: Any, speaker: str) -> list[_Turn] | None:
    """Messages, or one text by a known speaker, as turns; None = neither."""
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
    text = plain_text(_first(message, ("content", "value")))
    thinking = _first(message, ("reasoning_content", "thinking", "reasoning"))
    calls = _first(message, ("tool_calls", "function_call"))
    if text is None and speaker in ("user", "assistant"):
        return None
    return _Turn(
        speaker,
        text or "",
        encodable(thinking) if isinstance(thinking, str) else "",
        _is_filled(calls),
    )


def _is_filled(value: Any) -> bool:
    return isinstance(value, list | str | Mapping) and value not in ("", "[]", "null", [], {})


def _first(message: Mapping[Any, Any], keys: Iterable[str]) -> Any:
    return next((message[key] for key in keys if message.get(key) is not None), None)
