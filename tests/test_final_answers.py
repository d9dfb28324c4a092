"""The final answer of a text: a table of forms, any balanced box, and megabytes of openings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.final_answers import final_answer, last_boxed


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


@pytest.mark.parametrize(("opening", "closing"), [("\\boxed{", "}"), ("{", "}"), ("\\boxed{{", "")])
def test_deeply_nested_boxes_are_read(opening, closing):
    text = "\\boxed{7} " + opening * 50_000 + "x" + closing * 50_000
    assert last_boxed(text) == ("x" if opening == "\\boxed{" else "7")
