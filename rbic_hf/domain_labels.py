"""Readable names of domains: the words that set a domain's questions apart from the others.

Words are weighed by class-based TF-IDF: share of the domain's questions that hold the word, times
the logarithm of how much rarer it is elsewhere. Formulas, numbers and stop-words are left out.
Chinese has no spaces; pairs of characters serve as words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WORDS_PER_LABEL = 3

# bounded repeats keep hostile text linear
_FORMULA = re.compile(r"\$[^$]{0,500}\$|\\\([^)]{0,500}\\\)|\\[a-zA-Z]+|\[asy\].*?\[/asy\]", re.S)
_LATIN = re.compile(r"[A-Za-z][a-z]{2,20}")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_HAN_STOP = frozenset("的了是在和与及或为有个多少几这那其中如果则若设已知求下列各所以于上一")
_ENGLISH_EXTRA = frozenset(
    "many much does did let find value total given each number following answer question first "
    "second one two three four five six seven eight nine ten suppose respectively using use get "
    "gets got has had have what will would could write function python assert".split()
)


def label_domains(questions: Sequence[str], domains: npt.NDArray[np.int32]) -> list[str]:
    """Return one label per domain, such as "triangle, angle, side"; unique, never empty."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    stop = ENGLISH_STOP_WORDS | _ENGLISH_EXTRA
    count = int(domains.max(initial=-1)) + 1
    inside: list[Counter[str]] = [Counter() for _ in range(count)]
    for question, domain in zip(questions, domains, strict=True):
        inside[domain].update(_words(question, stop))
    everywhere: Counter[str] = sum(inside, Counter())
    labels: list[str] = []
    for domain, words in enumerate(inside):
        label = ", ".join(_distinctive(words, everywhere, len(questions)))
        label = label or f"domain {domain}"
        labels.append(label if label not in labels else f"{label} ({domain})")
    return labels


def _distinctive(words: Counter[str], everywhere: Counter[str], num_rows: int) -> list[str]:
    def weight(word: str) -> float:
        return words[word] * float(np.log(1 + num_rows / everywhere[word]))

    picked: list[str] = []
    for word in sorted(words, key=lambda word: (-weight(word), word)):
        overlaps = any(set(word) & set(other) for other in picked if _HAN.match(word))
        stem = any(word.startswith(p) or p.startswith(word) for p in picked)
        if not overlaps and not stem:
            picked.append(word)
        if len(picked) == WORDS_PER_LABEL:
            break
    return picked


def _words(question: str, stop: frozenset[str]) -> set[str]:
    text = _FORMULA.sub(" ", question[:5000])
    latin = {word.lower() for word in _LATIN.findall(text)} - stop
    pairs = {
        run[i : i + 2]
        for run in _HAN.findall(text)
        for i in range(len(run) - 1)
        if not _HAN_STOP & set(run[i : i + 2])
    }
    return latin | pairs
