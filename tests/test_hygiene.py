"""What a text says against training on it: tables of cases, counts of runs, hostile megabytes."""

import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.final_answers import final_answer
from rbic_hf.hygiene import (
    is_cut_off,
    is_looping,
    is_refusal,
    language_of,
    mixes_languages,
)
from rbic_hf.thinking import split_thinking
from rbic_hf.values import plain_text

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=[]), max_size=200)


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
    num_runs = sum(runs.values())
    most_are_repeats = num_runs >= 200 and num_runs - len(runs) > 0.6 * num_runs
    return max(runs.values(), default=0) > 20 or most_are_repeats


@given(st.lists(st.sampled_from("ab"), max_size=8), st.integers(0, 30), st.integers(0, 30))
def test_loops_agree_with_a_count_of_all_runs(period, repeats, extra):
    tokens = (period or ["c"]) * repeats + [f"w{i}" for i in range(extra)] + ["z"] * extra
    assert is_looping(" ".join(tokens)) == loops_by_counting(tokens)


def test_a_run_of_twenty_words_may_occur_twenty_times_but_not_more():
    run = [f"w{i}" for i in range(20)]
    spaced = [" ".join([*run, f"only{i}"]) for i in range(21)]
    assert not is_looping(" ".join(spaced[:20]))
    assert is_looping(" ".join(spaced))


def test_a_text_that_is_there_three_times_is_a_loop_and_one_that_is_there_twice_is_not():
    trace = " ".join(f"w{i}" for i in range(400))
    assert not is_looping(" ".join([trace] * 2))
    assert is_looping(" ".join([trace] * 3))
    assert is_looping("Wait, let me check that again. " * 60)
    assert not is_looping(
        "\n".join(f"For n = {n}, f(n) = {n * n + 1}, not prime." for n in range(99))
    )


def test_chinese_is_counted_by_characters():
    sentence = "".join(chr(0x4E00 + i) for i in range(20))
    apart = [sentence + chr(0x5000 + i) + chr(0x6000 + i) for i in range(21)]
    assert is_looping("。".join(apart))
    assert not is_looping("。".join(apart[:20]))


def test_a_line_of_underscores_is_one_token():
    assert not is_looping("填空" + "_" * 500)


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


@given(ANY_TEXT)
def test_no_text_makes_the_readers_raise(text):
    thinking, visible, finished = split_thinking(text)
    if not any(mark in text for mark in ("<", ">")):
        assert (thinking, visible, finished) == ("", text.strip(), True)
    answer = final_answer(text)
    assert answer is None or answer.strip()
    plain_text(text).encode()


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m really sorry, but as an AI I am unable to help with this.",
        "Sorry, I cannot answer this question.",
        "I apologize, but I cannot provide a solution to this problem.",
        "Unfortunately, I don't have enough information. I am not able to solve this.",
        "Unfortunately, I am unable to view the image that the problem refers to.",
        "As an AI language model, I cannot browse the internet.",
        "I cannot help with homework.",
        "**I'm sorry**, but I can't continue with this conversation.",
        "抱歉，我无法回答这个问题。",
        "很抱歉，作为一个人工智能，我不能提供这方面的帮助。",
        "对不起，我没有办法完成您的请求。",
        "作为一个AI语言模型，我无法查看图片。",
        "我无法提供该题的答案。",
    ],
)
def test_a_response_that_declines_is_a_refusal(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "We cannot have x < 0, so the root is positive.",
        "Unfortunately, we cannot factor this, so use the quadratic formula.",
        "Unfortunately, this cannot be simplified.",
        "I can't factor this directly, so I complete the square.",
        "I cannot be certain, but it seems to be a rhombus.",
        "Sorry for the confusion above. The triangle cannot be isosceles.",
        "It is impossible to answer with a whole number: none exists.",
        "I'm sorry, but I can't run code. By hand: 17 * 23 = 391.",
        "I'm sorry, I can't run it, but here it is:\n```python\nprint(1)\n```",
        "I'm sorry, but I can't see it. " + "Suppose that ABCD is a square. " * 40,
        "不能选 A，因为甲的速度不能为负。",
        "对不起来的两个角相等，无法重合。",
        "我们无法直接求解，先换元。",
        "As an AI once said, cats are liquid.",
        "",
    ],
)
def test_reasoning_that_cannot_is_no_refusal(text):
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("so \\[ x = \\frac{1}{2", True),
        ("so \\[ x = 1 \\] and", False),  # a sentence that ends nowhere is not looked for
        ("$$ p = \\sqrt{2", True),
        ("$$ p = 2 $$", False),
        ("Use this:\n```python\nfor i in", True),
        ("Use this:\n```python\npass\n```", False),
        ("```\na\n```\nThat is all.\n```", False),  # one too many, at the end
        ("\\begin{pmatrix} 1 \\\\[4pt] 2 \\end{pmatrix}", False),
        ("It is 5.", False),
        ("", False),
    ],
)
def test_a_text_is_cut_off_inside_a_formula_or_code(text, cut):
    assert is_cut_off(text) == cut


EN, ZH = "How many apples are left?", "还剩下多少个苹果？"


@pytest.mark.parametrize(
    ("question", "response", "mixed"),
    [
        (EN, "First we 计算 the total, and then 因此 we divide by two.", True),
        (EN, "So the 答案, which we need, is 5. Hence 所以 the rest is 3.", True),
        (EN, "We add и потом we divide, поэтому the result is 4.", True),
        (EN, "First we 计算 the total. It is 5.", False),  # once is a slip
        (EN, "先算总数：3+2=5。所以还剩 5 个。", False),  # another language than the question's
        (EN, "Alice有3个, Bob和Carol有5个，所以Alice和Bob一共有8个苹果。", False),
        (EN, "The remainder theorem (孙子定理) is by Sunzi (孙子), who is old.", False),
        (EN, 'The sign "福" means luck and the sign "寿" means long life.', False),
        (EN, "```python\n# 计算 the sum 然后 print\n```\nIt prints 5.", False),
        ("What does 谢谢 mean?", "It is 谢谢 in Chinese, or 多谢 in the south.", False),
        ("Translate thanks into Chinese.", "One says 谢谢 to a friend, 感谢 to others.", False),
        (EN, "Let $\\alpha = 2$, β = 3, and Σ the sum; then π is near.", False),
        (ZH, "总数是 so we have 五个，然后 therefore the rest 是三个。", True),
        (ZH, "设 A 和 B 的速度为 v，用 Python 的 list 表示，DNA 和 ATP 不变。", False),
        (ZH, "First we add. Then we divide. The answer is 5.", False),
        (ZH, "由 the 得三个。", False),
        (
            "选词填空：The apple is ___ the table, which is red.",
            "填 on the 短语，which is 从句。",
            False,
        ),
        (EN, "", False),
    ],
)
def test_languages_are_mixed_when_sentences_leave_theirs_and_return(question, response, mixed):
    assert mixes_languages(question, response) == mixed


UNITS = [
    "\\(", "\\[", "$", "$$", "`", "(", "（", "“", "中 a ", "中 the ", "a中", "sorry ", "I can't ",
    "抱歉", "```\n", "\\text{", "中 the a b c d e f g h ", "\"", "对不起，",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_time_grows_no_faster_than_the_text(unit):
    def seconds(size):
        text = "中a " + unit * (size // len(unit))
        started = time.process_time()
        is_refusal(text), is_cut_off(text), mixes_languages("", text), language_of(text)
        return time.process_time() - started

    seconds(10_000)
    small = min(seconds(125_000) for _ in range(3))
    assert seconds(1_000_000) < 30 * small + 0.3  # eight times the text; a square would be 64
