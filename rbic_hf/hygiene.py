"""What the text of a response says against training on it: loops, refusals, languages mixed, cuts.

Every function is linear in the text and never raises, because dataset text is data: patterns have
bounded repeats. Each was tuned to flag no good row of the real pools (benchmarks/hygiene.py).
"""

from __future__ import annotations

import re

import numpy as np

# A row is a loop when a run of NGRAM tokens occurs more than MAX_REPEATS times, or when of at least
# MIN_RUNS runs more than REPEATED_SHARE were there before: finished traces of the pools reach .2,
# traces that ran into the limit .98, and a text that is there twice .5.
NGRAM = 20
MAX_REPEATS = 20
MIN_RUNS = 200
REPEATED_SHARE = 0.6


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
    """Return whether a run of 20 tokens occurs more than 20 times, or most runs are repeats.

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
    if (hashes[MAX_REPEATS:] == hashes[:-MAX_REPEATS]).any():
        return True
    num_repeated = int((hashes[1:] == hashes[:-1]).sum())
    return num_runs >= MIN_RUNS and num_repeated > REPEATED_SHARE * num_runs


_FACTORS = np.random.default_rng(0).integers(1, 2**64, NGRAM, dtype=np.uint64) | np.uint64(1)


# --- refusals --------------------------------------------------------------------------------

# An apology opens solutions too ("Unfortunately, this cannot be factored"), so it takes someone who
# cannot, a short text, and no result.
MOST_REFUSED_CHARS = 800

_CANNOT = (
    r"(?:can(?:no|['’])t\b|cannot\b|can not\b|won['’]t\b|will not\b|unable to\b|not able to\b"
    r"|don['’]t have (?:access|the ability|enough information)"
    r"|not (?:allowed|permitted|designed)\b)"
)
_REFUSAL = re.compile(
    r"(?:(?:hello|hi)[,!.] )?"
    r"(?:"
    r"(?:(?:i['’]m|i am) (?:\w{2,8} )?(?:sorry|afraid)|sorry|(?:my )?apologies|i apologi[sz]e"
    r"|unfortunately|regrettably)\b[^\n.?]{0,80}?\bI(?:['’]m| am)?\b[^\n.?]{0,30}?" + _CANNOT + r"|"
    r"as an? (?:ai\b|artificial intelligence|(?:large )?language model)[^\n?]{0,120}?"
    + _CANNOT
    + r"|"
    r"I(?:['’]m| am)? ?" + _CANNOT + r" ?(?:help|assist|answer|provide|fulfil|comply|respond|engage"
    r"|create|generate|write|discuss|support|participate|access|browse|view|do (?:that|this))"
    r")",
    re.IGNORECASE,
)
_REFUSAL_ZH = re.compile(
    r"(?:[您你]好[，,！!。]?)?"
    r"(?:(?:我?(?:很|非常|十分|深感)?(?:抱歉|对不起|不好意思|遗憾)"
    r"(?=[，,。！!：: ]|我|但|无法|不能)"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|(?:大|大型)?语言模型|智能助手))"
    r"[^\n。？]{0,40}?(?:无法|不能|没有办法|没法|不便|不可以|没有能力)"
    r"|我(?:无法|不能|没有办法)(?:回答|提供|协助|帮助|完成|满足|处理|访问|生成|参与))",
    re.IGNORECASE,
)


def is_refusal(solution: str) -> bool:
    """Return whether a response as a whole declines; one that calculates or shows code does not.

    Args:
        solution: the visible text, of a response in which no final answer was found.
    """
    text = solution.strip().lstrip("*#> \"“'")
    if len(text) > MOST_REFUSED_CHARS or "=" in text or "```" in text:
        return False
    return bool(_REFUSAL.match(text) or _REFUSAL_ZH.match(text))


# --- cut off ---------------------------------------------------------------------------------


def is_cut_off(solution: str) -> bool:
    """Return whether a text ends inside a displayed formula or a code block.

    A text that ends in the middle of a sentence is not told from one that ends in a name, a list or
    a heading, so it is not looked for.
    """
    text = solution.rstrip().replace("\\\\", "")  # the [ after a line break opens no formula
    return (
        text.rfind("\\[") > text.rfind("\\]")
        or text.count("$$") % 2 == 1
        or (len(_FENCES.findall(text)) % 2 == 1 and not text.endswith("```"))
    )


_FENCES = re.compile(r"^ {0,3}```", re.MULTILINE)


# --- languages mixed -------------------------------------------------------------------------

MIN_SWITCHES = 2  # into the other language inside a sentence, and back

_FOREIGN = f"{_HAN}\u3040-\u30ff\uac00-\ud7af\u0400-\u04ff\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f"
_FOREIGN_CHAR = re.compile(f"[{_FOREIGN}]")
# what is quoted, named in brackets or written in code is spoken about, not in
_ASIDE = re.compile(
    r"`[^`\n]{0,200}`|\"[^\"\n]{0,80}\"|“[^”\n]{0,80}”|「[^」\n]{0,80}」|《[^》\n]{0,80}》"
    r"|\([^()\n]{0,80}\)|（[^（）\n]{0,80}）"
)
_FORMULA = re.compile(
    r"\$[^$\n]{1,400}\$|\\\((?:[^\\\n]|\\[^()\n]){0,400}\\\)|\\(?:text|mathrm|textbf)\{[^{}\n]{0,80}\}"
)
_ABOUT_LANGUAGE = re.compile(
    r"\b(?:translat\w{0,6}|chinese|mandarin|japanese|korean|russian|arabic|hebrew|hindi|thai|ukrainian"
    r"|cyrillic|kanji|hanzi|pinyin|unicode|language|alphabet)\b",
    re.IGNORECASE,
)
_STRAY_FOREIGN = re.compile(
    f"[A-Za-z][ ,.;:]{{0,3}}[{_FOREIGN}](?:[{_FOREIGN} ]{{0,58}}[{_FOREIGN}])?"
    "(?=[ ,.;:，。；：]{0,3}[A-Za-z])"
)
_STRAY_ENGLISH = re.compile(
    f"[{_HAN}][ ，,。；：]{{0,3}}(?:[A-Za-z'’]{{1,20}}[ ,]{{1,2}}){{0,6}}"
    r"(?:the|is|are|we|so|but|wait|therefore|because|which|that|then|this|should|since|thus|hence"
    r"|however|need|have|let|actually|maybe|if|now)(?![A-Za-z])"
    f"(?:[ ,]{{1,2}}[A-Za-z'’]{{1,20}}){{0,12}}(?=[ ，,。；：.]{{0,3}}[{_HAN}])",
    re.IGNORECASE,
)
_ENGLISH_PROSE = re.compile(
    r"\b(?:the|is|are|of|that|which|this|have|with|you|what)\b", re.IGNORECASE
)


def mixes_languages(question: str, response: str) -> bool:
    """Return whether a response leaves its language inside sentences and returns, at least twice.

    English with stray words of another script, or Chinese with stray English ones. An answer in
    another language than its question, terms, names, quotations, brackets, formulas and code are
    no mixture; nor is what a question in both languages, or about languages, is answered with.
    """
    num_foreign = len(_FOREIGN_CHAR.findall(response))
    if not num_foreign:
        return False
    prose = _ASIDE.sub(" ", _FORMULA.sub(" X ", " ".join(_outside_fences(response))))
    num_letters = len(_LETTER.findall(prose))
    if len(_HAN_CHAR.findall(prose)) < _HAN_SHARE * num_letters:
        is_english = len(_LATIN_CHAR.findall(prose)) > num_letters / 2
        if not is_english or _FOREIGN_CHAR.search(question) or _ABOUT_LANGUAGE.search(question):
            return False
        return _at_least(MIN_SWITCHES, _STRAY_FOREIGN, prose)
    if _ABOUT_LANGUAGE.search(question) or "英" in question or "翻译" in question:
        return False
    if _HAN_CHAR.search(question) and _at_least(MIN_SWITCHES, _ENGLISH_PROSE, question):
        return False
    return _at_least(MIN_SWITCHES, _STRAY_ENGLISH, prose)


def _outside_fences(text: str) -> list[str]:
    return text.split("```")[::2]


def _at_least(number: int, pattern: re.Pattern[str], text: str) -> bool:
    return sum(1 for _, _ in zip(range(number), pattern.finditer(text), strict=False)) == number
