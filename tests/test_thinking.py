"""A response taken apart: a table of markers, traces of real length, and hostile megabytes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.thinking import split_thinking, unwrap_solution


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
        # other families, other spellings
        ("<Think>a</THINK>b", "a", "b", True),
        ("< think >a</ think >b", "a", "b", True),
        ('<think budget="8k">a</think>b', "a", "b", True),
        ("<seed:think>a</seed:think>b", "a", "b", True),
        ("<longcat_think>a</longcat_think>b", "a", "b", True),
        ("<Thought>a</Thought>b", "a", "b", True),
        ("[THINK]a[/THINK]b", "a", "b", True),
        ("[think] is a word of prose", "", "[think] is a word of prose", True),
        ("◁think▷a◁/think▷b", "a", "b", True),
        (
            "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
            "a",
            "<|START_RESPONSE|>b",
            True,
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            "a",
            "b",
            True,
        ),
        ("<|channel|>final<|message|>b<|return|>", "", "b", True),
        ("<|channel|>analysis<|message|>a", "a", "", False),
        # doubled, nested, left over
        ("<think><think>a</think>b", "a", "b", True),
        ("<think><think>a</think></think>b", "a", "b", True),
        ("<think>a<think>b</think>c</think>d", "a\nb\nc", "d", True),
        ("<think>a</think>b</think>c", "a", "b\nc", True),
        ("a</think>b</think>c", "a", "b\nc", True),
        ("</think>4", "", "4", True),
        ("<think/>4", "", "<think/>4", True),
        # talked about
        ("R1 writes `<think>` first. So 4.", "", "R1 writes `<think>` first. So 4.", True),
        ("It opens “<think>” and ‘</think>’.", "", "It opens “<think>” and ‘</think>’.", True),
        (
            "<think>they close with `</think>` here</think>4",
            "they close with `</think>` here",
            "4",
            True,
        ),
        ("```html\n<think>\n```\n4", "", "```html\n<think>\n```\n4", True),
        ("<think>```py\nx</think>4", "```py\nx", "4", True),  # code that the thinking never closed
        ("<think>a</think>```xml\n<reasoning>\n```", "a", "```xml\n<reasoning>\n```", True),
        # not markers
        ("$a<b>c$ | 表 | 中文，标点。", "", "$a<b>c$ | 表 | 中文，标点。", True),
    ],
)
def test_a_response_is_split_at_its_thinking_markers(response, thinking, visible, finished):
    assert split_thinking(response) == (thinking, visible, finished)


@pytest.mark.parametrize(
    ("visible", "solution"),
    [
        ("<|begin_of_solution|>\nx\n<|end_of_solution|>", "x"),
        ("<|begin_of_solution|>\ncut off", "cut off"),
        ("<|START_RESPONSE|>x<|END_RESPONSE|>", "x"),
        ("<answer> 16 </answer>", "16"),
        ("It is <answer>16</answer>", "It is <answer>16</answer>"),
        ("<answer>1</answer> or <answer>2</answer>", "<answer>1</answer> or <answer>2</answer>"),
    ],
)
def test_only_markers_around_the_whole_solution_are_removed(visible, solution):
    assert unwrap_solution(visible) == solution


@pytest.mark.parametrize("size", [60_000, 400_000])
def test_a_long_trace_is_split_where_it_ends(size):
    line = "Wait, let me check 17 × 23 = 391 again, 再检查一遍。 $x_1 < 3$ | a | b |\n"
    trace = (line * (size // len(line))).strip()
    thinking, visible, finished = split_thinking(f"<think>\n{trace}\n</think>\n\nIt is 391.")
    assert (thinking, visible, finished) == (trace, "It is 391.", True)


PIECES = st.sampled_from(
    ["<think>", "</think>", "a ", "b", "```", "`", "[THINK]", "\n", "</Think >"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_nothing_but_markers_and_space_is_lost(response):
    thinking, visible, _ = split_thinking(response)
    letters = lambda text: sorted(c for c in text if c in "ab")  # noqa: E731
    assert letters(thinking + visible) == letters(response)


HOSTILE = [
    "<think>", "</think>", "<think></think>", "`<think>`", "```<think>", "<", "< ", "<think ",
    "<|channel|>", "<|end|>", "[THINK]", "◁think▷", "<think></think></think>", "```",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_time_grows_no_faster_than_the_text(unit):
    def seconds(size):
        text = unit * (size // len(unit))
        started = time.process_time()
        unwrap_solution(split_thinking(text).visible)
        return time.process_time() - started

    seconds(10_000)
    small = min(seconds(125_000) for _ in range(3))
    assert seconds(1_000_000) < 30 * small + 0.3  # eight times the text; a square would be 64
