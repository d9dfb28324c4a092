"""Text of a dataset becomes harmless text, whatever it was."""

from __future__ import annotations

import time
import unicodedata
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.plain_text import END, ISOLATE, isolated, one_line, width, wrapped

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("x = 12", 20, "x = 12"),
        ("  two\n\tlines\r\nof  it ", 20, "two lines of it"),
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcdefghi…"),
        ("中文字符", 8, "中文字符"),  # two columns each
        ("中文字符", 7, "中文字…"),
        ("中文字符", 6, "中文…"),
        ("\x1b[31mred\x1b[0m", 20, "[31mred[0m"),
        ("a\x00b\x07c\x9bd", 20, "abcd"),
        ("a\u202eb\u2066c\u200bd", 20, "abcd"),  # overrides, isolates, zero width
        ("\ud800a\udfff", 20, "a"),
        ("שלום", 20, f"{ISOLATE}שלום{END}"),
        ("a" + "\u0301" * 50, 20, "a" + "\u0301" * 4),
        ("", 20, ""),
        (" \n ", 20, ""),
    ],
)
def test_one_line(text: str, limit: int, expected: str) -> None:
    assert one_line(text, limit) == expected


@pytest.mark.parametrize(
    ("text", "columns", "num_lines", "expected"),
    [
        ("one two three", 7, 3, ["one two", "three"]),
        ("one two three", 7, 1, ["one tw…"]),
        ("abcdefghij", 4, 3, ["abcd", "efgh", "ij"]),
        ("abcdefghijklmnop", 4, 3, ["abcd", "efgh", "ijk…"]),
        ("a much longer text than fits into two lines", 8, 2, ["a much", "longer…"]),
        ("有氧呼吸产生水", 8, 2, ["有氧呼吸", "产生水"]),
        ("有氧呼吸，产生水", 8, 2, ["有氧呼", "吸，产…"]),  # no line begins with a comma
        ("", 8, 2, []),
    ],
)
def test_wrapped(text: str, columns: int, num_lines: int, expected: list[str]) -> None:
    assert wrapped(text, columns, num_lines) == expected


@given(ANY_TEXT, st.integers(2, 60))
def test_no_text_is_wider_than_asked_or_steers_anything(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert width(line) <= limit
    assert all(unicodedata.category(c)[0] != "C" for c in line.strip(ISOLATE + END))
    assert one_line(line, limit) == line
    assert ElementTree.fromstring(f"<a>{escape(line)}</a>").text in (line, None)


@given(ANY_TEXT, st.integers(2, 30), st.integers(1, 4))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(
    text: str, columns: int, num_lines: int
) -> None:
    lines = wrapped(text, columns, num_lines)
    assert len(lines) <= num_lines
    assert all(line and width(line) <= columns for line in lines)
    whole = one_line(text, 2000).replace(" ", "").strip(ISOLATE + END)
    shown = "".join(line.strip(ISOLATE + END) for line in lines).replace(" ", "")
    assert whole.startswith(shown.removesuffix("…"))
    if not shown.endswith("…"):
        assert whole == shown


def test_isolates_are_only_around_what_needs_them() -> None:
    assert isolated("x = 3, 中文, é") == "x = 3, 中文, é"
    for word in ("שלום", "سلام", "x = سلام"):
        assert isolated(word) == ISOLATE + word + END


@pytest.mark.parametrize("text", ["x", " ", "\x1b", "\u0301", "中", "\u202e"])
def test_megabytes_take_no_time(text: str) -> None:
    start = time.perf_counter()
    one_line(text * 1_000_000, 80)
    wrapped(text * 1_000_000, 30, 3)
    assert time.perf_counter() - start < 1
