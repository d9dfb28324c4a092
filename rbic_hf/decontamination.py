"""Which questions are those of a benchmark: by the words in a row that they share, or by cosine.

Thirteen words in a row is the convention since GPT-3 (Brown et al. 2020, appendix C): lower case,
no punctuation. Three things here are this project's own, because they were the accidental matches
on real pools (benchmarks/hygiene.py): LaTeX commands and drawings are no words; a Chinese word
counts as 1.6 characters; and what more than ten questions of one benchmark have in common is an
instruction or a template of that benchmark, and shows nothing by itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# A benchmark question of fewer words than an n-gram has to be contained whole; one of fewer than
# this says so little that only the same text counts.
LONGEST_WHOLE = 64  # words of a question that has to be contained whole
LEAST_WORDS = 8
CHARACTERS_PER_WORD = 1.6  # of running Chinese text
MOST_QUESTIONS = 10  # that share an n-gram which still is about what is asked

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_CJK}]|[^\\W_{_CJK}]+")
_CJK_WORD = re.compile(f"[{_CJK}]")
_LATEX = re.compile(r"\\(?:begin|end) ?\{[^{}]{0,40}\}(?:\{[^{}]{0,80}\})?|\\[a-z]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_UNSPOKEN = re.compile(r"[\s.,;:!?$'\"`，。；：！？、“”‘’]+")


class Overlap(NamedTuple):
    """Which benchmark question each of n questions shares words with.

    Attributes:
        which: (n,) place of the benchmark question; -1: none.
        num_words: (n,) length of what is shared; 0: the whole text is the same, or nothing is.
    """

    which: Rows
    num_words: Rows


def shared_words(questions: Sequence[str], benchmark: Sequence[str], *, ngram: int = 13) -> Overlap:
    """Return which benchmark question each question shares `ngram` words in a row with.

    A benchmark question of fewer words, but at least 8, has to be contained whole; any shorter one,
    and any at all, also matches the same text whatever its punctuation and case. Where several
    match, one is named: the first in the benchmark that has those words.

    Args:
        questions: n texts.
        benchmark: the benchmark's questions; an empty one matches nothing.
        ngram: words in a row; in Chinese questions 1.6 times as many characters.
    """
    texts: dict[str, int] = {}
    for place, text in enumerate(benchmark):
        texts.setdefault(_as_text(text), place)
    texts.pop("", None)
    spans = _spans(benchmark, ngram)
    found: dict[str, tuple[int, int]] = {}
    for text in dict.fromkeys(questions):  # a question may have many traces
        same = texts.get(_as_text(text))
        found[text] = _first_shared(words(text), spans) if same is None else (same, 0)
    pairs = np.array([found[text] for text in questions], np.int64).reshape(-1, 2)
    return Overlap(pairs[:, 0], pairs[:, 1])


def near_copies(vectors: Floats, benchmark: Floats, *, threshold: float) -> tuple[Rows, Floats]:
    """Return each row's nearest benchmark question, -1 below `threshold`, and its cosine; (n,).

    All pairs are compared, whatever the size: a million questions against ten thousand are minutes,
    next to nothing of what embedding them takes, and no copy is missed.

    Args:
        vectors: (n, d) unit vectors.
        benchmark: (m, d) unit vectors.
        threshold: cosine from which two questions are near-duplicates.
    """
    if not len(vectors) or not len(benchmark):
        return np.full(len(vectors), -1, np.int64), np.full(len(vectors), -1, np.float32)
    import faiss

    cosines, which = faiss.knn(
        np.ascontiguousarray(vectors, np.float32),
        np.ascontiguousarray(benchmark, np.float32),
        1,
        metric=faiss.METRIC_INNER_PRODUCT,
    )
    near = cosines[:, 0] >= np.float32(threshold)
    return np.where(near, which[:, 0], -1).astype(np.int64), np.minimum(cosines[:, 0], 1)


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared.

    Lower case, without punctuation, LaTeX commands and Asymptote drawings; 1,200 is 1200; a Chinese
    or Japanese character is a word.
    """
    plain = _without_drawings(unicodedata.normalize("NFKC", text).casefold())
    return _WORD.findall(_LATEX.sub(" ", _THOUSANDS.sub("", plain)))


def _as_text(text: str) -> str:
    """The text without case, spaces and the punctuation of sentences; operators stay."""
    return _UNSPOKEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def _without_drawings(text: str) -> str:
    before, *rest = text.split("[asy]")
    return " ".join([before, *(part.split("[/asy]", 1)[-1] for part in rest)])


def _spans(benchmark: Sequence[str], ngram: int) -> dict[int, dict[str, int]]:
    """Return length -> words in a row of that length -> the benchmark question they are from."""
    cut = [words(text) for text in benchmark]
    lengths = [_span_length(text, ngram) for text in cut]
    asked = Counter(
        span
        for text, length in {tuple(t): n for t, n in zip(cut, lengths, strict=True)}.items()
        for span in set(_runs(text, length))
    )
    spans: dict[int, dict[str, int]] = defaultdict(dict)
    for place, (text, length) in enumerate(zip(cut, lengths, strict=True)):
        telling = [run for run in _runs(text, length) if asked[run] <= MOST_QUESTIONS]
        # what a drawing shows is not among the words, so few words beside one are not the question
        is_whole = len(text) >= min(LEAST_WORDS, ngram) and "[asy]" not in benchmark[place].lower()
        # each length is a pass over every row; a longer one is found as the same text, or by cosine
        if not telling and (is_whole or len(text) >= length) and len(text) <= LONGEST_WHOLE:
            telling, length = [" ".join(text)], len(text)
        for run in telling:
            spans[length].setdefault(run, place)
    return dict(spans)


def _span_length(text: list[str], ngram: int) -> int:
    characters = sum(1 for word in text if _CJK_WORD.match(word))
    return round(CHARACTERS_PER_WORD * ngram) if 2 * characters > len(text) else ngram


def _runs(text: Sequence[str], length: int) -> Iterable[str]:
    return (" ".join(text[i : i + length]) for i in range(len(text) - length + 1))


def _first_shared(text: list[str], spans: dict[int, dict[str, int]]) -> tuple[int, int]:
    """Return the benchmark question and the length of what is shared; (-1, 0): nothing is."""
    for length, known in spans.items():
        for run in _runs(text, length):
            if run in known:
                return known[run], length
    return -1, 0
