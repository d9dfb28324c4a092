"""Is a generated answer equal to its reference?

Plain numbers, option letters and single words are decided here, exactly; everything else goes to
math-verify (https://github.com/huggingface/Math-Verify) in worker processes that can be killed,
because its own time limit needs signals and answers False when it strikes.
Only the final answer of a text is judged: its last box, else what follows its last
"the answer is" / "故选" / "####", else a short text as a whole, else its last number or formula.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rbic_hf.errors import ConfigError
from rbic_hf.grading_numbers import (
    SPACING,
    TEXT_COMMAND,
    TEXT_GROUP,
    Number,
    last_number,
    read_number,
    same_value,
)
from rbic_hf.workers import WorkerPool

VERSION = 2  # bump when output changes
Verdict = bool | None

_MAX_REFERENCE = 400  # characters; longer is a solution or a proof, not a final answer
_TAIL = 4000  # characters at the end of an answer in which the final answer is looked for
_SHORT = 200  # a text of one line up to this length may be a bare answer
_MAX_WORKERS = 4

# Full-width ASCII, minus signs, spaces and superscripts; NFKC would turn x² into x2.
_ASCII = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | str.maketrans(
    {"＄": r"\$", "\u3000": " ", "\xa0": " ", "\u2009": " ", "\u202f": " ", "\u200b": None}
    | {"−": "-", "²": "^2", "³": "^3", "½": "1/2", "¼": "1/4", "¾": "3/4", "、": ",", "。": ". "}
)


@dataclass(frozen=True)
class _Reference:
    """What a reference is, for the first of these graders that applies."""

    text: str
    number: Number | None = None
    options: frozenset[str] | None = None
    words: str | None = None


def is_gradable(reference: str | None) -> bool:
    """Return whether answers can be judged against this reference.

    True for numbers, expressions, equations, intervals, sets, tuples, option letters and answers
    of up to three words; False for None, nothing, long free text, proofs and code.
    """
    return reference is not None and _read(reference) is not None


def grade(
    references: Sequence[str | None],
    answers: Sequence[str],
    *,
    timeout_s: float = 5.0,
    num_proc: int | None = None,
) -> list[Verdict]:
    """Return one verdict per pair: True = correct, False = wrong, None = nobody can say.

    None means that the reference is not gradable, or that the grader failed or needed more than
    `timeout_s` seconds; an answer in which nothing can be compared is wrong. Units are not
    compared, 18% equals 18 and 0.18, and decimals agree to six places.
    `num_proc` changes the speed only; worker processes start when a pair needs them and then
    serve later calls. Raises ConfigError for bad settings, ModelError without math-verify.
    """
    if len(references) != len(answers):
        raise ConfigError(f"{len(references)} references for {len(answers)} answers")
    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ConfigError(f"timeout_s is {timeout_s}; it must be a positive number of seconds")
    if num_proc is not None and num_proc < 1:
        raise ConfigError(f"num_proc is {num_proc}; it must be at least 1, or None")
    quick = [_quick(*pair) for pair in zip(references, answers, strict=True)]
    hard = list(dict.fromkeys(each for each in quick if isinstance(each, _Hard)))
    verdicts = _POOL.map(
        [(each.reference, list(each.candidates)) for each in hard],
        timeout_s=timeout_s,
        num_proc=num_proc or min(os.cpu_count() or 1, _MAX_WORKERS),
    )
    decided = dict(zip(hard, verdicts, strict=True))
    return [decided[each] if isinstance(each, _Hard) else each for each in quick]


# ------------------------------------------------------------------------------------------------
# Which grader


@dataclass(frozen=True)
class _Hard:
    """A pair for math-verify: the answer is right when one of the candidates is."""

    reference: str
    candidates: tuple[str, ...]


def _quick(reference: str | None, answer: str) -> Verdict | _Hard:
    """Decide the pair here when that is safe."""
    truth = None if reference is None else _read(reference)
    if truth is None:
        return None
    text = _final_part(answer).translate(_ASCII)
    if not text.strip():
        return False
    if truth.options is not None:
        return _chosen_options(text) == truth.options
    spans = list(_spans(text))
    if truth.words is not None:
        return _says(text, spans, truth.words)
    if any(_squeeze(span) == _squeeze(truth.text) for span in spans):
        return True
    if truth.number is not None:
        verdict = _same_number(truth.number, text, spans)
        if verdict is not None:
            return verdict
    return _Hard(_as_math(truth.text), _candidates(text, spans))


@lru_cache(maxsize=4096)
def _read(reference: str) -> _Reference | None:
    """Recognise a reference; None when no grader can judge against it."""
    if len(reference) > 50 * _MAX_REFERENCE:
        return None
    text = reference.translate(_ASCII).strip()
    text = _peel(_boxed(text) or text)
    if not text or len(text) > _MAX_REFERENCE:
        return None
    options = _option_letters(text)
    if options is not None:
        return _Reference(text, options=options)
    number = None if "=" in text else read_number(text)  # x = 5 is not y = 5
    if number is not None:
        return _Reference(text, number=number)
    words = _bare_words(text)
    if _WORDS.fullmatch(words):
        return _Reference(text, words=words)
    return _Reference(text) if _is_formula(text) else None


_WORDS = re.compile(r"(?:[a-z]{3,}|no)(?:[ '-][a-z]+){0,2}")
_CODE = re.compile(r"[`\"]|__|=>|==|;\s*\n|(?<![\\\w])(?:def|import|return|print|lambda)\b")


def _is_formula(text: str) -> bool:
    """A formula has a digit, a command, an operator or is a lone variable, and few words."""
    if _CODE.search(text) or text.count("\n") > 8:
        return False
    prose = re.sub(r"\\[A-Za-z]+", " ", text)
    num_words = len(re.findall(r"[A-Za-z]{3,}", prose))
    num_han = len(re.findall(r"[\u4e00-\u9fff]", prose))
    has_math = re.search(r"[\d\\+*/=<>^|≤≥∞π√]|\A[A-Za-z](?:_\w+|\([A-Za-z]\))?\Z", text)
    return has_math is not None and num_words <= 5 and num_han <= 6


# ------------------------------------------------------------------------------------------------
# Where the final answer is

_ANCHOR = re.compile(
    r"####|\banswers?\b[^\n.:=]{0,40}?(?:\bis\b|\bare\b|:|=)|故选|应选|答案\s*(?:应?[是为选]|[:=])",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\f?boxe?d?\s*\{")
_FORMULA_CHARS = re.compile(r"[\d$\\]")
_FINAL = re.compile(r"\bfinal answer(?: \w+){0,6}? is\b[^\n]", re.IGNORECASE)


def _final_part(answer: str) -> str:
    """Return what follows the thinking, or the inside of the last <answer> tag."""
    thought, _, said = answer.rpartition("</think>")
    text = said if said.strip() else (thought or answer).replace("<think>", " ")
    start = text.rfind("<answer>")
    if start >= 0:
        inside = text[start + len("<answer>") :].partition("</answer>")[0]
        text = inside if inside.strip() else text
    final = list(_FINAL.finditer(text[-_TAIL:]))
    if final:  # said after the last box, it overrules the box
        said = text[-_TAIL:][final[-1].start() :]
        text = said if _FORMULA_CHARS.search(said) and not _BOX.search(said) else text
    return text


def _spans(text: str) -> Iterator[str]:
    """Yield the final answer without its surroundings; nothing when only prose is there."""
    box = _boxed(text)
    if box is not None:
        yield _peel(box[:_TAIL])
        return
    tail = text[-_TAIL:]
    anchors = list(_ANCHOR.finditer(tail))
    if anchors:
        rest = tail[anchors[-1].end() :].lstrip(" \t\r\n:*=_>")
        span = re.split(r"\n|[!?]|\.(?=\s|\Z)", rest, maxsplit=1)[0]
        yield _peel(span[:_TAIL])
    elif len(text) <= _SHORT and "\n" not in text.strip():
        yield _peel(text)


def _boxed(text: str) -> str | None:
    r"""Return the inside of the last \boxed, joined by commas with boxes listed just before it."""
    contents: list[str] = []
    next_start = len(text)
    for box in reversed(list(_BOX.finditer(text))[-8:]):
        end = _closing_brace(text, box.end())
        if contents and end > next_start:
            continue  # it is around the box that was read already
        if contents and not _is_list_gap(text[end + 1 : next_start]):
            break
        contents.insert(0, text[box.end() : end].strip())
        next_start = box.start()
    return ", ".join(dict.fromkeys(contents)) if contents else None


def _closing_brace(text: str, start: int) -> int:
    """Return where the group open at `start` closes; the end of the line if it never does."""
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[start : start + _TAIL]):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return start + match.start()
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _is_list_gap(gap: str) -> bool:
    if len(gap) > 60 or "\n\n" in gap or re.search(r"[.=](?:\s|\Z)", gap):
        return False
    gap = re.sub(r"[\\$(){}\[\]\s]+", " ", re.sub(r"\\(?:text|quad|qquad)", " ", gap)).strip()
    return gap == "" or re.search(r"(?:[,;]|\band|\bor|和|或)\Z", gap) is not None


_PEEL = (
    re.compile(r"\*\*(.*)\*\*", re.DOTALL),
    re.compile(r"\$\$([^$]*)\$\$"),
    re.compile(r"\$([^$]*)\$"),
    re.compile(r"\\\(((?:(?!\\\)).)*)\\\)", re.DOTALL),
    re.compile(r"\\\[((?:(?!\\\]).)*)\\\]", re.DOTALL),
    re.compile(TEXT_COMMAND + r"\s*\{([^{}]*)\}"),
)


def _peel(text: str) -> str:
    """Remove math delimiters, emphasis and the full stop around an answer."""
    for _ in range(6):
        before = text
        text = text.strip().rstrip(".,;:").strip()
        text = text.removesuffix("\\").strip()
        for pattern in _PEEL:
            match = pattern.fullmatch(text)
            text = match.group(1) if match else text
        if text == before:
            break
    return text


def _squeeze(text: str) -> str:
    """Return a formula without what changes only its looks."""
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", SPACING.sub("", text))
    return re.sub(r"\s+", "", text)


def _same_number(truth: Number, text: str, spans: list[str]) -> bool | None:
    """Compare with the number in the answer; None when a grader has to look for it."""
    found = last_number(text[-_TAIL:]) if not spans else read_number(spans[0])
    if found is None:
        return None if re.search(r"\d|\\", text[-_TAIL:]) else False
    if same_value(truth, found):
        return True
    return False if truth.is_sure and found.is_sure else None


# ------------------------------------------------------------------------------------------------
# Option letters and words

# Each alternative begins with a character of its own, so that matching stays linear.
_DECORATION = (
    r"(?:[\s$*(){}\[\]【】<>'\":,]|\\\(|\\(?:text|textbf|mathrm|mathbf|mbox|rm|bf|boxed))*"
)
_LETTERS = re.compile(
    _DECORATION + r"([A-J](?:(?:[\s,/&]|and|和|或|与)*[A-J])*)(?![A-Za-z0-9=+*/^_-])"
)
_OPTION_ANCHOR = re.compile(
    r"####|故选|应选|选项?(?:是|为)?|答案\s*应?[是为]?选?|正确的?[是为]"
    r"|\banswers?(?:\s+(?:choice|option))?(?:\s+(?:is|are))?|\b(?:option|choice)s?(?:\s+(?:is|are))?",
    re.IGNORECASE,
)


def _option_letters(text: str) -> frozenset[str] | None:
    """Return the options of a reference such as D, (A), AC or A, C; None for anything else."""
    text = re.sub(r"[\s,;'\"()\[\]]|and|和", "", text)
    is_options = re.fullmatch(r"[A-J]{1,10}", text) and len(set(text)) == len(text)
    return frozenset(text) if is_options else None


def _chosen_options(text: str) -> frozenset[str]:
    """Return the options that the answer chooses; empty when there are none."""
    box = _boxed(text)
    if box is not None:
        return _letters_at(box[:_SHORT])
    tail = text[-_TAIL:]
    for anchor in reversed(list(_OPTION_ANCHOR.finditer(tail))):
        letters = _letters_at(tail[anchor.end() : anchor.end() + 80])
        if letters:
            return letters
    lines = tail.strip().splitlines()
    for line in (lines[-1], lines[0]):
        match = _LETTERS.match(line[:_SHORT])
        if match and re.match(r"[\s.,):}\]】*$]*\Z|[.):]\s", line[match.end() : _SHORT]):
            return frozenset(re.findall("[A-J]", match[1]))
    return frozenset()


def _letters_at(text: str) -> frozenset[str]:
    match = _LETTERS.match(text)
    return frozenset(re.findall("[A-J]", match[1])) if match else frozenset()


def _bare_words(text: str) -> str:
    text = TEXT_GROUP.sub(r"\1", text).casefold().strip(" .,!?'\"*$")
    return re.sub(r"\A(?:an?|the)\s+", "", re.sub(r"\s+", " ", text))


def _says(text: str, spans: list[str], words: str) -> bool:
    """Whether the final answer is these words; "Yes, because ..." says yes."""
    if any(_bare_words(span) == words for span in spans):
        return True
    if words in ("yes", "no", "true", "false") and _boxed(text) is None:
        return re.match(r"\W*([A-Za-z]*)", text[:_SHORT])[1].casefold() == words  # type: ignore[index]
    lines = text[-_TAIL:].strip().splitlines()
    return _boxed(text) is None and _bare_words(lines[-1]) == words


# ------------------------------------------------------------------------------------------------
# math-verify


def _candidates(text: str, spans: list[str]) -> tuple[str, ...]:
    """Return the texts in which math-verify looks for the answer."""
    whole = text[-_TAIL:]
    if not spans:
        return (whole,)
    # Without dollar signs math-verify takes the first number: 24 of 24\sqrt{2}, 2 of "2 or 3".
    has_marks = re.search(r"\$|\\\(|\\\[", whole) is not None
    if not has_marks and re.fullmatch(r"[^A-Za-z]*(?:\b(?:or|and)\b[^A-Za-z]*)+", spans[0]):
        return (_as_math(re.sub("or|and", ", ", spans[0])),)
    is_formula = not has_marks and ("\\" in whole or not _PROSE.search(whole))
    if is_formula or _boxed(text) is not None:
        return (_as_math(spans[0]),)
    return (whole, _as_math(spans[0])) if len(spans[0]) <= _SHORT else (whole,)


# Long words, or short ones that are no product of variables.
_PROSE = re.compile(r"[A-Za-z]{3,}|\b(?:so|it|is|we|he|an|of|to)\b", re.IGNORECASE)


def _as_math(text: str) -> str:
    """Mark a bare formula as LaTeX, on one line; 3e-10 would be read as 3 times Euler's e."""
    text = re.sub(r"(?<=\d)[eE](?=[-+]?\d)", lambda _: r"\times 10^", text)
    text = re.sub(r"(?<=10\^)([-+]?\d+)", r"{\1}", text).replace("\n", " ")
    return text if re.search(r"\$|\\\(|\\\[", text) else f"${text}$"


def _verify(reference: str, candidates: Sequence[str]) -> Verdict:
    """Compare with math-verify; runs in a worker, without the time limit of the library."""
    import logging

    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    truths = parse(reference, parsing_timeout=None)
    if all(isinstance(truth, str) for truth in truths):
        return None
    has_failed = False
    for candidate in candidates:
        for found in parse(candidate, parsing_timeout=None):
            for truth in truths:
                try:
                    if verify(truth, found, timeout_seconds=None, raise_on_error=True):
                        return True
                except (MemoryError, RecursionError):
                    has_failed = True
                except Exception:  # two things that cannot be compared are not equal
                    continue
    return None if has_failed else False


_POOL = WorkerPool("rbic_hf.grading:_verify", warm_up=("$1$", ["$2$"]))
