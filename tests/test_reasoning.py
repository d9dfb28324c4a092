"""Where the reasoning of a response ends: before the sentence that first gives the answer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.probers.reasoning import reasoning_end

# response with ¦ where the reasoning ends, and the answers
CASES = [
    # the calculation gives it, not only the last line
    ("He has 4 + 9 balls.\n¦4 + 9 = <<4+9=13>>13.\n#### 13", ["13"]),
    ("Half of 48 is 24. ¦48 + 24 = 72 clips. So the answer is 72.", ["72"]),
    ("¦The answer is 5.", ["5"]),
    ("¦5", ["5"]),
    ("", ["5"]),
    ("  \n ", ["5"]),
    # a number in the question or on the way is not the answer being given
    ("Tom has 5 red balls. He gives 2 away. ¦5 + 2 - 2 = 5.\n#### 5", ["5"]),
    ("It takes 12 cups. 12 / 4 = 3. ¦Therefore 12 is right.", ["12"]),
    # named without conclusion: where it is named last
    ("First 7 came, then they left. ¦Left: 7 of them.", ["7"]),
    # numbers by value
    ("40 times 50. ¦Total = $2,000.00 in all.\n#### 2000", ["2000"]),
    ("40 times 50. ¦Total = 2000 in all.", ["$2,000"]),
    ("0.5 and so on.\n¦x = .25", ["0.250"]),
    ("4.5 = 9/2. It is 45 = 45 here. ¦x = 5.", ["5"]),
    ("We go down. ¦x = -3", ["-3"]),
    # formulas as written, whatever their dressing
    ("Draw it.\n¦So $p = \\dfrac{7}{10}$.", ["\\frac{7}{10}"]),
    ("Draw it.\n¦$p = \\frac{ 7 }{10}$ is it. Then $\\boxed{\\frac{7}{10}}$.", ["\\frac{7}{10}"]),
    ("$x + 1$ is given.\n¦\\[y = \\boxed{x+1}\\]", ["x + 1"]),
    # words and options
    ("A train leaves. It is A or B. ¦The answer is B.", ["B"]),
    ("Paris is in France. ¦So the capital is paris.", ["Paris"]),
    # Chinese
    ("先算3加5。¦3 + 5 = 8，所以有8个苹果。", ["8"]),
    ("甲错。乙对。¦故选：B。", ["B"]),
    ("设x。¦因此x为7。答案是7。", ["7"]),
    # thinking counts as reasoning
    ("<think>2 and 2. ¦2 + 2 = 4.</think>\n<answer>4</answer>", ["4"]),
    # the response's own answer is held back like the right one
    ("3 + 4 is asked. ¦3 + 4 = 8. The answer is 8.", ["7", "8"]),
    ("3 + 4 is asked. ¦3 + 4 = 7. No, the answer is 8.", ["7", "8"]),
    ("3 + 4 is asked. ¦3 + 4 = 7.", [None, "7", ""]),
    # nobody knows what it ends in: its last number, else its last sentence
    ("3 + 4 is asked. ¦3 + 4 = 8. It is 8.", ["7"]),
    ("3 + 4 is asked. ¦3 + 4 = 8. It is 8.", [None]),
    ("We think. We conclude. ¦It is true.", ["false"]),
    ("We think. ¦It is so.", ["x" * 1000]),
]


@pytest.mark.parametrize(("marked", "answers"), CASES)
def test_reasoning_ends_before_the_sentence_that_gives_the_answer(marked, answers) -> None:
    start, _, rest = marked.partition("¦")
    expected = len(start) if "¦" in marked else 0
    assert reasoning_end(start + rest if "¦" in marked else marked, answers) == expected


@given(st.text(max_size=200), st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=3))
def test_any_text_has_an_end_inside_it_at_the_start_of_a_sentence(text, answers) -> None:
    end = reasoning_end(text, answers)
    assert 0 <= end <= len(text)
    assert (
        end == 0
        or text[:end].rstrip(" \t\r\n")[-1:] in ".!?;。！？；"
        or text[end - 1] == "\n"
        or (not text[:end].strip())
    )


@given(st.integers(0, 10**6), st.text("abc def.\n", max_size=60))
def test_what_follows_the_first_conclusion_changes_nothing(number, tail) -> None:
    head = "Some reasoning comes first.\n"
    for response in (f"{head}So it is {number}.", f"{head}So it is {number}.\n{tail}"):
        assert reasoning_end(response, [str(number)]) == len(head)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1" * 2_000_000, "1"),
        ("1," * 1_000_000, "1"),
        ("1,111" * 400_000, "7"),
        (" " * 2_000_000, "7"),
        ("= " * 1_000_000 + "7", "7"),
        ("= 7 " * 500_000, "8"),
        ("\\frac" * 400_000, "\\frac{1}{2}"),
        (". " * 1_000_000, "word"),
        ("a" * 2_000_000, "a" * 400),
        ("{" * 2_000_000, "{" * 400),
        ("5", "(" * 2_000_000),
        ("1. " * 600_000, "1"),
    ],
    ids=range(12),
)
def test_hostile_megabytes_take_a_second(text, answer) -> None:
    started = time.process_time()
    reasoning_end(text, [answer])
    assert time.process_time() - started < 2
