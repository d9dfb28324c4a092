"""Finds the code in a text, and parses Python of any quality, never running it.

Fences as in CommonMark. What `ast.parse` refuses is repaired once, cheaply: prompts and notebook
commands, the print statement of Python 2, a last statement that was cut off.
"""

from __future__ import annotations

import ast
import re
import textwrap
import threading
import warnings
from dataclasses import dataclass

MAX_CHARS = 200_000  # of one program: a tenth of a second to parse
_MAX_CUTS = 4  # unfinished ends: a call inside a loop inside a function
_MAX_CHAIN = 2_000  # of each of these, in one program; the parser recurses once for each
_CHAINS = ("**", " else ", "elif", "lambda")
_MAX_PREFIXES = 500  # in a row: `- - -x`
_PREFIX_WORDS = ("+", "~", "not", "await")

_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_PYTHON = {"py", "py3", "python2", "python3", "ipython", "ipython3", "pycon", "python-repl"}
_CODE_LINE = re.compile(r"^(?:def|class|async|import|from|for|while|if|with|try)\b", re.MULTILINE)
_CODE_NODES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
    *(ast.For, ast.While, ast.If, ast.With, ast.Try),
)

# Python warns of these while it parses, through filters that all threads share.
_ESCAPE = re.compile(r"\\(?:([\n\\'\"abfnrtvx0-3]|N(?=\{)|[4-7](?![0-7]{2}))|(.))", re.DOTALL)
_GLUED_NUMBER = re.compile(r"\b[0-9][0-9a-fA-FjJoOxX._]{0,60}(?:and|else|for|if|in|is|not|or)")
_WARNINGS = threading.Lock()

_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)|^[ \t]*In \[[0-9 ]{0,6}\]: ?")
_NOTEBOOK = re.compile(r"^In \[[0-9 ]{0,6}\]: ", re.MULTILINE)
# Magics, shell lines and the statement of Python 2 say nothing that the graph would hold.
_ASIDE = re.compile(r"(^[ \t]*|[:;][ \t]*)(?:[%!]{1,2}[a-zA-Z]|print[ \t]+[^=(\s.,)])[^\n]*")
_OLD_EXCEPT = re.compile(r"^([ \t]*except[ \t][^,:\n]{1,80}),[ \t]*(\w{1,40})[ \t]*:")
_OPEN_END = ("was never closed", "unterminated", "unexpected EOF", "EOF while scanning")


@dataclass(frozen=True, slots=True)
class CodeRegion:
    """A piece of code in a text.

    Attributes:
        start: where it starts, in characters; its fence is part of it.
        end: where it ends.
        source: the code alone, dedented, with `\\n` as line ends.
        language: `python`, what the fence says in lower case, or "" where it says nothing.
    """

    start: int
    end: int
    source: str
    language: str


def code_regions(text: str) -> list[CodeRegion]:
    """Return the fenced blocks of `text` in order, or all of it when it is nothing but Python.

    A fence that is never closed reaches to the end. A text without fences is Python when all of
    it parses and it defines, imports or decides something: `x = 5` alone is mathematics.
    """
    if "```" not in text and "~~~" not in text:
        return [CodeRegion(0, len(text), _dedent(text), "python")] if _is_python(text) else []
    found: list[CodeRegion] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        mark, info = fence[1], fence[2].strip()
        if opening is None:
            opening = None if "`" in info else fence
        elif not info and mark[0] == opening[1][0] and len(mark) >= len(opening[1]):
            inside = text[opening.end() + 1 : fence.start()]
            found.append(_region(opening, inside, fence.end() - fence[0].endswith("\r")))
            opening = None
    if opening is not None:
        found.append(_region(opening, text[opening.end() + 1 :], len(text)))
    return found


def _region(opening: re.Match[str], inside: str, end: int) -> CodeRegion:
    words = opening[2].replace("{", " ").replace("}", " ").replace(",", " ").lower().split()
    language = words[0].lstrip(".") if words else ""
    language = "python" if language in _PYTHON else language
    return CodeRegion(opening.start(), end, _dedent(inside), language)


def _dedent(code: str) -> str:
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    return textwrap.dedent(code) if code[:1].isspace() else code


def _is_python(text: str) -> bool:
    plain = text.replace("\r\n", "\n")
    if not _CODE_LINE.search(plain) or _is_hostile(plain):
        return False
    tree, _ = _parse(plain)
    return tree is not None and any(isinstance(node, _CODE_NODES) for node in tree.body)


def parse(source: str) -> tuple[ast.Module, list[str]] | None:
    """Return the syntax tree of `source` and the lines that it counts; None when it has none.

    Sources over 200,000 characters and those that would nest too deeply have none.
    """
    code = source.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if _is_hostile(code):
        return None
    if not _NOTEBOOK.search(code):  # its prompts are annotations to the parser
        tree, error = _parse(code)
        if tree is not None:
            return tree, code.split("\n")
        if error is None:
            return None
    lines = _without_prompts(textwrap.dedent(code).split("\n"))
    for _ in range(_MAX_CUTS + 1):
        tree, error = _parse("\n".join(lines))
        if tree is not None:
            return (tree, lines) if tree.body else None
        cut = _unfinished(lines, error)
        if cut is None:
            return None
        lines = lines[:cut]
    return None


def _is_hostile(code: str) -> bool:
    if len(code) > MAX_CHARS:
        return True
    if len(code) > _MAX_CHAIN and any(code.count(word) > _MAX_CHAIN for word in _CHAINS):
        return True
    if code.count("-") + sum(map(code.count, _PREFIX_WORDS)) < _MAX_PREFIXES:
        return False
    for word in _PREFIX_WORDS:
        code = code.replace(word, "-")
    return "-" * _MAX_PREFIXES in "".join(code.split())


def _parse(code: str) -> tuple[ast.Module | None, SyntaxError | None]:
    """Return the tree, or why there is none where that is known."""
    if "\\" in code:
        code = _ESCAPE.sub(_quiet_escape, code)
    try:
        if _GLUED_NUMBER.search(code):
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(code), None
        return ast.parse(code), None
    except SyntaxError as error:
        return None, error
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None, None


def _quiet_escape(match: re.Match[str]) -> str:
    r"""Keep an escape that means something; a slash of equal width stands for the one in `\d`."""
    return match[0] if match[1] else "/" + match[2]


def _without_prompts(lines: list[str]) -> list[str]:
    if any(_PROMPT.match(line) for line in lines):
        # what an interpreter printed has no prompt
        lines = [_PROMPT.sub("", line) if _PROMPT.match(line) else "" for line in lines]
    lines = [_OLD_EXCEPT.sub(r"\1 as \2:", line) for line in lines]
    return [_ASIDE.sub(r"\1print()", line) for line in lines]


def _unfinished(lines: list[str], error: SyntaxError | None) -> int | None:
    """Return how many lines stand before the last statement when that is what is wrong."""
    if error is None or error.lineno is None:
        return None
    last = max((at for at, line in enumerate(lines) if line.strip()), default=-1)
    wrong = min(error.lineno - 1, last)
    is_open = any(words in (error.msg or "") for words in _OPEN_END)
    return wrong if wrong == last or is_open else None
