"""Which columns of a dataset hold the question, the response, the answer.

Stage 0. A layout is recognised once, from column names and the first rows; two possible layouts
that read the same are one, two that differ are an error, because a guess would train on the
wrong text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rbic_hf.errors import DataError
from rbic_hf.formats import SPEAKER_OF_ROLE, Layout, as_turns, is_filled, read_row
from rbic_hf.values import answer_text

ROLES = ("question", "context", "response", "thinking", "answer", "conversation", "history")

_ACCEPTED = """\
  question | problem | prompt | query | input | instruction (+ input)
    with response | output | completion | solution | generated_solution | answer
    and, if there are any, reasoning | thinking | reasoning_content (+ content), and answer
  messages | conversations: a list of {role, content} or {from, value}
Or name the columns: question="...", response="...", thinking="...", answer="...",
conversation="...";
on the command line --question, --response and so on."""


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


def question_columns(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Layout:
    """Return where a benchmark keeps its questions; it may have nothing else.

    A layout that is known, else the one column with a question's name, else `text`. A `body`
    (SVAMP, ASDiv) comes before its question.

    Raises:
        DataError: no column is clearly the question.
    """
    table = _Table([c for c in columns if not c.startswith("rbic_")], rows)
    body = next(iter(table.find(["body"])), None)
    try:
        found = dict(recognise(columns, rows).columns)
    except DataError:
        named = table.find(_QUESTIONS) or table.find(["text"])
        if len(named) != 1:
            raise DataError(
                f"none of the columns {table.columns} is clearly the question; call one of them "
                f"{' or '.join(repr(name) for name in _QUESTIONS)}"
            ) from None
        found = {"question": named[0]}
    if body and found.get("question") not in (None, body):
        found["question"], found["context"] = body, found["question"]
    roles = [role for role in ROLES if role in ("question", "context", "conversation")]
    asked = {role: found[role] for role in roles if role in found}
    return Layout("/".join(asked.values()), asked)


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
    if any(map(is_filled, tools)):
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
    for role, speaker in SPEAKER_OF_ROLE.items():
        column = layout.columns.get(role)
        values = table.values(column) if column else []
        if role == "response" and column == layout.columns.get("answer"):
            values = [answer_text(value) for value in values]
        if values and all(as_turns(value, speaker) is None for value in values):
            return role
    return None
