"""The final answer that a text states, and the reference that an answer column gives.

Every function is linear in the text and never raises: braces are matched by one forward scan
instead of a search from every `\\boxed`, and phrases are looked for at the end only.
"""

from __future__ import annotations

import re
from typing import Any

from rbic_hf.values import answer_text

# Longer than this, "the final answer" is a worked solution, which no grader can compare.
MAX_ANSWER_CHARS = 200


def final_answer(text: str) -> str | None:
    """Return the final answer that a text states; None = none was found.

    The most explicit form wins, and of one form the last: `<answer>..</answer>`, `#### x` on the
    last line, `\\boxed{x}`, "故选：D", "故答案为: x", "the answer is x", or a text that is nothing
    but a number, an option letter or one formula. Several choices come as one word, "AC".
    """
    tagged = _tagged(text)
    if tagged is None:
        return _inner_answer(text)
    return _inner_answer(tagged) or _short(tagged)


def _inner_answer(text: str) -> str | None:
    return (
        _after_hashes(text)
        or last_boxed(text)
        or _chosen_options(text)
        or _stated_in_chinese(text)
        or _stated_in_english(text)
        or _bare(text)
    )


def _tagged(text: str) -> str | None:
    """The inside of the last answer tags, or of the solution markers."""
    for opening, closing in (
        ("<answer>", "</answer>"),
        ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ):
        start = text.rfind(opening)
        end = text.find(closing, start)
        if start >= 0 and end >= 0:
            return text[start + len(opening) : end]
    return None


def _short(text: str) -> str | None:
    """The text itself when it is short enough to be an answer."""
    tidy = _tidy(text)
    return tidy if 0 < len(tidy) <= MAX_ANSWER_CHARS else None


_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def _tidy(text: str) -> str:
    """The text without the punctuation after it and the formula or bold marks around it."""
    text = text.strip()
    if text[-1:] in tuple(".。;；,，") and not text.endswith(".."):
        text = text[:-1].rstrip()
    for opening, closing in _WRAPPERS:
        end = len(text) - len(closing)
        if text.startswith(opening) and text.find(closing, len(opening)) == end:
            return text[len(opening) : end].strip()
    return text


def _after_hashes(text: str) -> str | None:
    """GSM8K's `#### 42`; only on the last line, because Markdown writes headings like that."""
    last_line = text.rstrip().rpartition("\n")[2]
    _, hashes, answer = last_line.rpartition("####")
    return _short(answer) if hashes else None


_BOX_TOKEN = re.compile(
    r"\\(?:boxed|fbox)(?![A-Za-z])\s{0,8}(?:(?P<box>\{)|(?P<single>[^\s${}][^\s${}]{0,99}))"
    r"|\\.|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)


def last_boxed(text: str) -> str | None:
    """Return what the last closed `\\boxed` or `\\fbox` holds; None when there is none.

    "Last" is the one that opens last, so a box inside a box gives the inner one. `\\boxed 5`
    counts, an empty box or one that is cut off does not. One pass, escaped braces skipped.
    """
    first = min((at for box in ("\\boxed", "\\fbox") if (at := text.find(box)) >= 0), default=-1)
    if first < 0:
        return None
    open_braces: list[int] = []  # where the content begins, or -1 for a brace that is no box
    best_start, best_end = -1, -1
    for token in _BOX_TOKEN.finditer(text, first):
        if token["box"]:
            open_braces.append(token.end())
        elif token["open"]:
            open_braces.append(-1)
        elif token["single"]:
            best_start, best_end = max((best_start, best_end), token.span("single"))
        elif token["close"] and open_braces:
            start = open_braces.pop()
            if start > best_start and not _is_blank(text, start, token.start()):
                best_start, best_end = start, token.start()
    return _short(text[best_start:best_end]) if best_start >= 0 else None


def _is_blank(text: str, start: int, end: int) -> bool:
    return start == end or (end - start <= 8 and text[start:end].isspace())


# Phrases are looked for at the end only: in the middle of a trace they are guesses.
_TAIL_CHARS = 600

_OPTIONS = re.compile(
    r"(?:[故应因以题]选|答案选|选择|(?:^|[\s,，。$])选)[项择]?[是为]?[\s:：]{0,4}"
    r"(?:\$?\\(?:mathrm|text|mathbf)\{|[$(（*]{0,3})\s{0,2}"
    r"(?P<letters>[A-H](?:[\s、,，和]{0,3}[A-H]){0,7})(?![A-Za-z])"
)


def _chosen_options(text: str) -> str | None:
    found = None
    for found in _OPTIONS.finditer(text[-_TAIL_CHARS:]):  # noqa: B007
        pass
    return "".join(re.findall("[A-H]", found["letters"])) if found else None


_CHINESE = re.compile(r"答案(?:应该|应当|应)?\s{0,3}(?:[是为]|[:：])[\s:：*]{0,6}")
_ENGLISH = re.compile(
    r"\b(?:answers?|(?:correct|right) (?:option|choice))\b[*_\s]{0,5}"
    r"(?:(?:is|are)\b(?: (?:therefore|thus|then|simply|indeed|clearly))?|:)[\s:*_]{0,8}"
    r"|\bfinal answer\b[*_ ]{0,4}\n\s{0,4}",
    re.IGNORECASE,
)


def _stated_in_chinese(text: str) -> str | None:
    """What follows "答案是"; None when the parts of one exercise have an answer each."""
    if "答案" not in text:
        return None
    stated = _stated(text, _CHINESE)
    parts = {
        text[m.end() : m.end() + 40].strip() for m in re.finditer(r"故答案为[\s:：]{0,6}", text)
    }
    return stated if len(parts) <= 1 else None


def _stated_in_english(text: str) -> str | None:
    return _stated(text, _ENGLISH)


def _stated(text: str, phrase: re.Pattern[str]) -> str | None:
    """The clause after the last occurrence of a phrase that is followed by one."""
    tail = text[-_TAIL_CHARS:]
    for found in reversed(list(phrase.finditer(tail))):
        answer = _clause(tail[found.end() :])
        if answer:
            return answer
    return None


_OPTION_FIRST = re.compile(r"\(([A-J])\)|([A-J])(?=[):：.．、]|\s*$)")
_CLAUSE_END = re.compile(
    r"[。；！？\n]|[.;!?](?=[\s*\"”]|$)|[,，]\s{0,3}(?:因为|所以|因此|故|because|since|which|so)"
)
_NO_ANSWER = re.compile(
    r"(?:not|correct|wrong|incorrect|right)\b|不|错误|正确|多少|什么", re.IGNORECASE
)


def _clause(tail: str) -> str | None:
    """The answer with which a tail of text begins."""
    for opening, closing in _WRAPPERS:
        end = tail.find(closing, len(opening)) if tail.startswith(opening) else -1
        if end > 0 and re.match(
            r"[.。,，;；:!\s*]*(?:\n|$|[A-Z\u4e00-\u9fff])", tail[end + len(closing) :]
        ):
            return _short(tail[len(opening) : end])
    option = _OPTION_FIRST.match(tail)
    if option:
        return option[1] or option[2]
    end_of_clause = _CLAUSE_END.search(tail)
    clause = tail[: end_of_clause.start()] if end_of_clause else tail
    return None if _NO_ANSWER.match(clause) or not _is_terse(clause) else _short(clause)


def _is_terse(clause: str) -> bool:
    """Whether a clause is a value or a name; prose after "the final answer" is neither."""
    if re.search(r"[\d\\=]", clause):
        return len(clause) <= 80
    return len(clause) <= 30 and len(clause.split()) <= 3


_BARE = re.compile(r"[-+−]?[$€£¥]?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s?%?|[A-J]{1,4}|\$[^$\n]+\$")


def _bare(text: str) -> str | None:
    stripped = text.strip()
    if len(stripped) > MAX_ANSWER_CHARS or not _BARE.fullmatch(stripped):
        return None
    return _short(stripped)


def reference_answer(value: Any, own: str | None) -> str | None:
    """Return the answer column's final answer, or the response's own where the column is empty.

    A worked solution without a final answer is no reference, nor are several numbered answers.
    """
    text = answer_text(value)
    if text is None:
        return own
    if _NUMBERED.match(text):
        return None
    return final_answer(text) or (text if len(text) <= MAX_ANSWER_CHARS else None)


_NUMBERED = re.compile(r"[(（]1[)）].*\n\s{0,4}[(（]2[)）]", re.DOTALL)
