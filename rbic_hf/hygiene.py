"""What the text of one response says about itself: thinking, final answer, language, loops.

Every function is linear in the text and never raises, because dataset text is data: one megabyte
of "<think>" or "{" is read like any other. So patterns have bounded repeats, and braces are
matched by one forward scan instead of a search from every `\\boxed`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

# Longer than this, "the final answer" is a worked solution, which no grader can compare.
MAX_ANSWER_CHARS = 200

# A row is a loop when a run of NGRAM tokens occurs more than MAX_REPEATS times.
NGRAM = 20
MAX_REPEATS = 20


class Parts(NamedTuple):
    """A response taken apart.

    Attributes:
        thinking: the text inside the think part, without its markers; "" when there is none.
        visible: the rest of the response, its own markers included.
        finished: False when a think part is opened and never closed.
    """

    thinking: str
    visible: str
    finished: bool


_MARKER = re.compile(
    r"(?P<open><(?:think|thinking|thought|reasoning)>|<\|begin_of_thought\|>)"
    r"|</(?:think|thinking|thought|reasoning)>|<\|end_of_thought\|>"
)


def split_thinking(response: str) -> Parts:
    """Return the think part and the rest; several think parts are joined.

    A closing marker without an opening one closes a think part that began with the text: many
    datasets leave the opening marker to the chat template.
    """
    thinking: list[str] = []
    visible: list[str] = []
    inside, start = False, 0
    for marker in _MARKER.finditer(response):
        piece = response[start : marker.start()]
        start = marker.end()
        if marker["open"]:
            (thinking if inside else visible).append(piece)
            inside = True
        elif inside:
            thinking.append(piece)
            inside = False
        else:
            thinking += [*visible, piece]
            visible = []
    (thinking if inside else visible).append(response[start:])
    return Parts(_join(thinking), _join(visible), not inside)


def _join(pieces: list[str]) -> str:
    return "\n".join(stripped for piece in pieces if (stripped := piece.strip()))


def unwrap_solution(visible: str) -> str:
    """Return the visible text without the markers around the whole of it."""
    text = visible.strip()
    text = text.removeprefix("<|begin_of_solution|>").removesuffix("<|end_of_solution|>").strip()
    if text.startswith("<answer>") and text.find("</answer>") == len(text) - len("</answer>"):
        text = text[len("<answer>") : -len("</answer>")].strip()
    return text


# --- the final answer ------------------------------------------------------------------------


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


# --- language and loops ----------------------------------------------------------------------

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_CHAR = re.compile(f"[{_HAN}]")
_LATIN_CHAR = re.compile("[A-Za-z\u00c0-\u024f]")
_KANA_CHAR = re.compile("[\u3040-\u30ff]")
_LETTER = re.compile(r"[^\W\d_]")
_LATEX = re.compile(r"\$[^$]*\$|\\[A-Za-z]+")

# Enough to tell a language, and the same work for every row.
_LANGUAGE_CHARS = 4000
# A Han character says about as much as a word, so a fifth of the letters is most of the text.
_HAN_SHARE = 0.2


def language_of(text: str) -> str:
    """Return "zh", "en" or "other" from the letters at the beginning of a text.

    Formulas are no letters. "zh" = at least a fifth of the letters are Han characters;
    "other" = most letters are neither Latin nor Han, or there is kana; a text without letters,
    such as "2 + 2 = ?", counts as "en".
    """
    prose = _LATEX.sub(" ", text[:_LANGUAGE_CHARS])
    letters = len(_LETTER.findall(prose))
    han = len(_HAN_CHAR.findall(prose))
    latin = len(_LATIN_CHAR.findall(prose))
    if letters - han - latin > letters / 2 or len(_KANA_CHAR.findall(prose)) > 0.1 * letters:
        return "other"
    return "zh" if han > 0 and han >= _HAN_SHARE * letters else "en"


_TOKEN = re.compile(f"[{_HAN}]|[^\\s{_HAN}]+")


def is_looping(text: str) -> bool:
    """Return whether some run of 20 tokens occurs more than 20 times.

    Tokens are words between spaces, and single characters for Chinese. Runs are compared by a
    64-bit random linear hash: after sorting, two equal hashes 20 apart mean 21 occurrences.
    """
    tokens = _TOKEN.findall(text) if _HAN_CHAR.search(text) else text.split()
    num_runs = len(tokens) - NGRAM + 1
    if num_runs <= MAX_REPEATS:
        return False
    ids: dict[str, int] = {}
    numbers = np.array([ids.setdefault(token, len(ids)) for token in tokens], dtype=np.uint64)
    hashes = np.zeros(num_runs, dtype=np.uint64)
    for offset, factor in enumerate(_FACTORS):
        hashes += numbers[offset : offset + num_runs] * factor
    hashes.sort()
    return bool((hashes[MAX_REPEATS:] == hashes[:-MAX_REPEATS]).any())


_FACTORS = np.random.default_rng(0).integers(1, 2**64, NGRAM, dtype=np.uint64) | np.uint64(1)


# --- values of unknown type -------------------------------------------------------------------


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
