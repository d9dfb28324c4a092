"""Facts about the text of one response."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.hygiene import (
    answer_text,
    final_answer,
    is_looping,
    language_of,
    last_boxed,
    plain_text,
    split_thinking,
    unwrap_solution,
)

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=[]), max_size=200)


@pytest.mark.parametrize(
    ("response", "thinking", "visible", "finished"),
    [
        ("so 4", "", "so 4", True),
        ("<think> 2+2 </think> <answer> 4 </answer>", "2+2", "<answer> 4 </answer>", True),
        ("2+2</think>4", "2+2", "4", True),  # the chat template has the opening marker
        ("<think>2+2", "2+2", "", False),
        ("<think></think>4", "", "4", True),
        ("<think>a<think>b</think>c", "a\nb", "c", True),
        ("<think>a</think>b<think>c</think>d", "a\nc", "b\nd", True),
        ("<think>a</think>b<think>c", "a\nc", "b", False),
        ("Sure. <think>a</think> b", "a", "Sure.\nb", True),
        ("<|begin_of_thought|>\na\n<|end_of_thought|>\nb", "a", "b", True),
        ("<|begin_of_thought|>a", "a", "", False),
        ("<reasoning>a</reasoning><answer>b</answer>", "a", "<answer>b</answer>", True),
    ],
)
def test_a_response_is_split_at_its_thinking_markers(response, thinking, visible, finished):
    assert split_thinking(response) == (thinking, visible, finished)


@pytest.mark.parametrize(
    ("visible", "solution"),
    [
        ("<|begin_of_solution|>\nx\n<|end_of_solution|>", "x"),
        ("<|begin_of_solution|>\ncut off", "cut off"),
        ("<answer> 16 </answer>", "16"),
        ("It is <answer>16</answer>", "It is <answer>16</answer>"),
        ("<answer>1</answer> or <answer>2</answer>", "<answer>1</answer> or <answer>2</answer>"),
    ],
)
def test_only_markers_around_the_whole_solution_are_removed(visible, solution):
    assert unwrap_solution(visible) == solution


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("48/2 = <<48/2=24>>24\n#### 72", "72"),
        ("a #### 1,000\n", "1,000"),
        ("#### Step 1\nAdd.\n#### Step 2\nWe get \\boxed{5}.", "5"),
        ("#### Conclusion\nNothing is known.", None),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("<answer> \\boxed{16} </answer>", "16"),
        ("<answer> $\\frac{1}{2}$ </answer>", "\\frac{1}{2}"),
        ("<answer>\n7 apples\n</answer>", "7 apples"),
        ("<answer>" + "a long essay. " * 40 + "</answer>", None),
        ("<answer>cut \\boxed{3}", "3"),
        ("<|begin_of_solution|>\n**B**\n<|end_of_solution|>", "B"),
        ("So the answer is 42.", "42"),
        ("The final answer is: $\\frac{3}{4}$. I hope it is correct.", "\\frac{3}{4}"),
        ("**Final Answer**\n\n42", "42"),
        ("**Answer:** 3.5 km.", "3.5 km"),
        ("The correct answer is (B) 12 apples.", "B"),
        ("Answer: C. because of gravity", "C"),
        ("The answer is $5, and Bob pays $7.", "$5, and Bob pays $7"),
        ("The answer is 4, because 2 + 2 = 4.", "4"),
        ("The answer is \\(x^2\\).", "x^2"),
        ("The answer is 4. No, the answer is 5.", "5"),
        ("The answer is 4. The answer is not 5.", "4"),
        ("The answer is 4." + " Filler words follow here." * 40, None),
        ("Answer: New York City.", "New York City"),
        ("Give the final answer\nBased on the definition, there are four of them.", None),
        ("Answer: Ada got the smallest number.", None),
        ("因此答案是 12。", "12"),
        ("答案为：$3\\sqrt{2}$。", "3\\sqrt{2}"),
        ("答案：北京，因为是首都", "北京"),
        ("答案：正三角形", "正三角形"),
        ("答案是错误的", None),
        ("故答案为: 2", "2"),
        ("(1) 故答案为: 2;\n(2) 故答案为: 3;", None),
        ("A错误；D正确。\n故选： D。\n", "D"),
        ("故选 D", "D"),
        ("故选AC", "AC"),
        ("故选：A、C.", "AC"),
        ("故选: $\\mathrm{A}$ 。", "A"),
        ("故选： $A B$ 。", "AB"),
        ("$\\therefore$ 选 D.", "D"),
        ("应选 D.", "D"),
        ("42", "42"),
        ("-3/4", "-3/4"),
        (" $x+1$ ", "x+1"),
        ("AC", "AC"),
        ("42 is nice", None),
        ("No idea.", None),
        ("", None),
    ],
)
def test_the_final_answer_is_found(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{ a_{b_{c}} } and } more", "a_{b_{c}}"),
        ("{ never closed \\boxed{5}", "5"),
        ("\\fbox{7}", "7"),
        ("$\\boxed 5$.", "5"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{3} and \\boxed{4", "3"),
        ("\\boxed{3} and \\boxed{}", "3"),
        ("\\boxed{3} and \\boxed 4.", "4"),
        ("\\boxedness{3}", None),
        ("\\boxed{" + "1" * 1000 + "}", None),
        ("no box", None),
    ],
)
def test_the_last_box_is_read_with_balanced_braces(text, content):
    assert last_boxed(text) == content


BALANCED = st.recursive(
    st.sampled_from(["x", "1+2", "\\frac", "\\{", " y "]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda p: "{" + "".join(p) + "}"),
    max_leaves=8,
)


@given(BALANCED, st.text(alphabet="ab $.\n", max_size=20), st.text(alphabet="cd {\n", max_size=20))
def test_any_balanced_content_comes_out_of_a_box(content, before, after):
    expected = content.strip().removesuffix(".").strip()
    assert last_boxed(f"{before}\\boxed{{{content}}} {after}") == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many apples are there?", "en"),
        ("小明有几个苹果？", "zh"),
        ("解: $\\frac{1+2 i}{(1-i)^{2}}=(\\quad)$ A. $1+i$ B. $1-i$", "zh"),
        ("What does 谢谢 mean in English, and how would one answer politely?", "en"),
        ("Сколько яблок у Маши?", "other"),
        ("りんごはいくつありますか", "other"),
        ("2 + 2 = ?", "en"),
        ("", "en"),
    ],
)
def test_the_language_follows_the_script_of_the_prose(text, language):
    assert language_of(text) == language


def loops_by_counting(tokens: list[str]) -> bool:
    runs = Counter(tuple(tokens[i : i + 20]) for i in range(len(tokens) - 19))
    return max(runs.values(), default=0) > 20


@given(st.lists(st.sampled_from("ab"), max_size=8), st.integers(0, 30), st.integers(0, 30))
def test_loops_agree_with_a_count_of_all_runs(period, repeats, extra):
    tokens = (period or ["c"]) * repeats + [f"w{i}" for i in range(extra)] + ["z"] * extra
    assert is_looping(" ".join(tokens)) == loops_by_counting(tokens)


def test_a_run_of_twenty_words_may_occur_twenty_times_but_not_more():
    run = [f"w{i}" for i in range(20)]
    spaced = [" ".join([*run, f"only{i}"]) for i in range(21)]
    assert not is_looping(" ".join(spaced[:20]))
    assert is_looping(" ".join(spaced))


def test_chinese_is_counted_by_characters():
    sentence = "".join(chr(0x4E00 + i) for i in range(20))
    assert is_looping("。".join([sentence] * 21))
    assert not is_looping("。".join([sentence] * 20))


def test_a_line_of_underscores_is_one_token():
    assert not is_looping("填空" + "_" * 500)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  16\n", "16"),
        (16, "16"),
        (16.0, "16"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (True, "True"),
        (["D"], "D"),
        (["A", "C"], "AC"),
        ([1, 2.0], "1, 2"),
        (["x = 1", "x = 2"], "x = 1, x = 2"),
        ([], None),
        ([None], None),
        ([["D"]], None),
        ({"value": 3}, None),
        (b"16", None),
        (float("nan"), None),
        (float("inf"), None),
        pytest.param(10**5000, None, id="5001 digits"),
        ("", None),
        (" \n", None),
        (None, None),
    ],
)
def test_answers_of_any_type_become_text_or_nothing(value, text):
    assert answer_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (" kept as it is ", " kept as it is "),
        ([{"type": "text", "text": "a"}, "b"], "a\nb"),
        ([{"type": "image", "url": "x"}], None),
        (5, None),
        (b"bytes", None),
        ({"text": "a"}, None),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("a pair \ud83d\ude00", "a pair 😀"),
    ],
)
def test_text_is_text_or_text_parts_and_can_be_encoded(value, text):
    assert plain_text(value) == text


MEGABYTE = 1_000_000
HUGE = [
    *(
        "<think>",
        "</think>",
        "<answer>",
        "{",
        "\\boxed{",
        "\\boxed ",
        "\\",
        "$",
        "#### ",
        " ",
        "\n",
    ),
    *("answer: ", "the answer is ", "答案是", "故答案为", "故选A ", "\0", "\ud800", "1,", "(("),
]


@pytest.mark.parametrize("unit", HUGE, ids=ascii)
def test_a_megabyte_of_anything_is_read(unit):
    text = unit * (MEGABYTE // len(unit))
    thinking, visible, _ = split_thinking(text)
    assert len(thinking) + len(visible) <= len(text)
    answer = final_answer(text)
    assert answer is None or 0 < len(answer) <= 200
    assert language_of(text) in ("en", "zh", "other")
    assert is_looping(text) == loops_by_counting(
        re.findall("[\u4e00-\u9fff]|[^\\s\u4e00-\u9fff]+", text)
    )


@pytest.mark.parametrize(("opening", "closing"), [("\\boxed{", "}"), ("{", "}"), ("\\boxed{{", "")])
def test_deeply_nested_boxes_are_read(opening, closing):
    text = "\\boxed{7} " + opening * 50_000 + "x" + closing * 50_000
    assert last_boxed(text) == ("x" if opening == "\\boxed{" else "7")


@given(ANY_TEXT)
def test_no_text_makes_the_readers_raise(text):
    thinking, visible, finished = split_thinking(text)
    if not any(mark in text for mark in ("<", ">")):
        assert (thinking, visible, finished) == ("", text.strip(), True)
    answer = final_answer(text)
    assert answer is None or answer.strip()
    plain_text(text).encode()
