"""Where a text is cut."""

from __future__ import annotations

import pytest

from rbic_hf.segments import cut, segment


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" \n --- \n **\n", []),
        ("One. Two? Three", ["One.", "Two?", "Three"]),
        ("第一步。第二步！第三步；完\n末", ["第一步。", "第二步！", "第三步；", "完", "末"]),
        ("It is 3.5 m, e.g. Long. So 4.", ["It is 3.5 m, e.g. Long.", "So 4."]),
        ("1. Add them.\n2. Stop.", ["1. Add them.", "2. Stop."]),
        ("He has five. 3 * 5 = 15", ["He has five.", "3 * 5 = 15"]),
        ("n! / (k! * 2) = 5", ["n! / (k! * 2) = 5"]),
        (r"\begin{align} x &= 1 \\ y &= 2", [r"\begin{align} x &= 1", "y &= 2"]),
        ("He has 48/2 = <<48/2=24>>24 clips.", ["He has 48/2 = 24 clips."]),
        ("an open $ x. Then\nnext }", ["an open $ x.", "Then", "next }"]),
        ("T = 9 Calculate the rest", ["T = 9", "Calculate the rest"]),  # a full stop is lost
        ("x = 9 So, y = 3", ["x = 9", "So, y = 3"]),
        # equations that follow each other without a mark
        (
            "288 = 18 * x x = 288 / 18 x = 16 Therefore it is 16",
            ["288 = 18 * x", "x = 288 / 18", "x = 16", "Therefore it is 16"],
        ),
        ("$a = 3$ $b = 4$", ["$a = 3$", "$b = 4$"]),
        ("Then $x = 5.$ Also $y = 6.$", ["Then $x = 5.$", "Also $y = 6.$"]),
        ("\\begin{align}\nx = 3\n\\end{align}", ["x = 3"]),
        ("5! = 5 * 4 = 120 3! = 3 * 2 = 6", ["5! = 5 * 4 = 120", "3! = 3 * 2 = 6"]),
        ("8 x 24 = 192 = 2 x 96", ["8 x 24 = 192 = 2 x 96"]),
        ("f(x) = 3 x + 2 = 5", ["f(x) = 3 x + 2 = 5"]),
        # markers are no part of a sentence, drawings no part of an argument
        ("<think>a = 3</think>b = 4", ["a = 3", "b = 4"]),
        ("<|begin_of_thought|>a = 3", ["a = 3"]),
        ("a = 3\n[asy]draw((0,0));[/asy]\nb = 4", ["a = 3", "b = 4"]),
        ("a = 3\n[asy]draw((0,0));", ["a = 3"]),
        ("ｘ＝３，那么", ["x=3，那么"]),
    ],
)
def test_text_is_cut_at_sentences_lines_and_display_rows(text: str, parts: list[str]) -> None:
    assert segment(text) == parts


def test_a_line_of_many_different_statements_is_a_paragraph() -> None:
    told = "A is 3. B is 4. C is 5. D is 6."
    assert [part.in_paragraph for part in cut(told)] == [True] * 4
    assert not any(part.in_paragraph for part in cut("A is 3. " * 5))
    assert [part.starts_line for part in cut("A is 3. B is 4.\nC is 5.")] == [True, False, True]
