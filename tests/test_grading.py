"""Verdicts on tables of cases, on human labels and on hostile texts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf.errors import ConfigError
from rbic_hf.grading import grade, is_gradable

ROOT = Path(__file__).resolve().parent.parent
PAIRS = ROOT.parent / "shared" / "data" / "labels" / "answer_pairs.jsonl"


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[dict[str, Any]]]:
    if not PAIRS.exists():
        pytest.skip(f"the labelled pairs are not at {PAIRS}")
    yield [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]


EQUAL = [
    # whole numbers, and where they stand
    ("42", "42"),
    ("42", "The answer is 42."),
    ("42", "so 6*7 = 42 apples"),
    ("42", "She pays $42."),
    ("42", "5 + 37 = 42\n#### 42"),
    ("42", r"First \boxed{41}, no: \boxed{42}"),
    ("42", "<think>maybe \\boxed{41}</think>It is \\boxed{42}"),
    ("42", "<think>x</think> <answer> 42 </answer>"),
    ("42", "<think>42</think>"),
    ("3", "The answer is: \n\n3"),
    ("3", "**3**"),
    ("18", "$18$"),
    ("18", "１８"),
    ("3", "three"),
    (r"\mbox{four}", "4"),
    ("7", r"Answer: $\frac{14}{2}$"),
    ("7", r"\boxed{x = 7}"),
    ("10455", r"\boxed{255} so $10,455. Final Answer: The final answer is $10,455$. I hope"),
    # signs, separators, units, percents, powers of ten
    ("-5", "\\boxed{-5}"),
    ("−5", "-5"),
    ("0", "-0"),
    ("1,000.0", "1000"),
    ("1000", r"\boxed{1,000}"),
    ("1000", "1 000"),
    ("1,22", "1.22"),
    ("$18", "18 dollars"),
    (r"\$30", "30"),
    ("18元", "18"),
    ("18", "18 米"),
    (r"180\text{ miles}", r"\boxed{180}"),
    (r"864 \mbox{ inches}^2", "864 in^2"),
    (r"60^\circ", "60 degrees"),
    ("18%", "18"),
    ("18%", r"\boxed{18\%}"),
    ("0.18", "18%"),
    ("3000000", "3 million"),
    ("180000", "18万"),
    ("8.7e8", r"$8.7\times 10^{8}$"),
    ("3.3e-10", r"3.3 \times 10^{-10}"),
    # fractions and expressions
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{2}", r"\boxed{\dfrac12}"),
    ("5/11", r"$\frac{5}{11}$"),
    (r"1\frac{1}{2}", "3/2"),
    ("1/3", "0.333333"),
    (r"27\pi", r"\boxed{27 \pi}"),
    (r"27\pi", "27π"),
    (r"\sqrt{2}", r"\sqrt2"),
    ("y = -2x+1", "$y=1-2x$"),
    ("x=5", "5"),
    ("(x+1)^2", "x²+2x+1"),
    ("(3, 7)", r"\boxed{(3,7)}"),
    ("[0,1)", "$[0, 1)$"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1,2,3", "3, 2, 1"),
    ("1, 2", r"$\boxed{2}$ and $\boxed{1}$"),
    # options
    ("D", "故选：D"),
    ("D", "Ｄ"),
    ("D", r"故选: $\mathrm{D}$."),
    ("C", "正确答案为C。"),
    ("AC", "答案：AC"),
    ("AC", "CA"),
    ("AC", "A、C"),
    ("A, C", r"\boxed{\text{A and C}}"),
    ("A", "(A)"),
    ("(B)", r"\textbf{(B)}"),
    ("D", "The answer is (D)."),
    ("D", r"\boxed{\text{(D)}\ 12}"),
    ("B", "B. 7"),
    ("B", "The correct option is B because A is wrong."),
    # words
    (r"\text{even}", "The answer is even."),
    (r"\text{Even}", r"\boxed{even}"),
    ("Evelyn", "**Evelyn**"),
    ("yes", "Yes, because it is."),
]

DIFFERENT = [
    ("42", "41"),
    ("42", "She has 42 apples and eats 1"),
    ("42", r"The 42 is not it: \boxed{41}"),
    ("42", ""),
    ("42", "  \n "),
    ("42", "I do not know."),
    ("-5", "5"),
    ("5", "−5"),
    ("1000", "1,00,0"),
    ("0.5", "0.05"),
    ("1/3", "0.33"),
    ("3.89e-10", "5.3e-9"),
    ("6.6e-34", r"6.7\times10^{-34}"),
    ("24", r"24\sqrt{2}"),
    (r"27\pi", "27"),
    ("2", "The answer is 2 or 3"),
    ("12", r"\boxed{12 \text{ or } 13}"),
    ("x=5", "y=5"),
    ("y = -2x+1", "$y=1+2x$"),
    ("(3, 7)", "(7, 3)"),
    ("[0,1)", "(0,1)"),
    ("D", "故选：C"),
    ("AC", "A"),
    ("A", "AC"),
    ("A", "The correct option is B because A is wrong."),
    ("C", "B. 7"),
    ("D", "A long text that chooses nothing"),
    (r"\text{even}", r"\boxed{\text{odd}}"),
    ("yes", "No, it is not."),
]


def test_equal_answers_are_correct():
    verdicts = grade([pair[0] for pair in EQUAL], [pair[1] for pair in EQUAL], timeout_s=60)
    assert [
        pair for pair, verdict in zip(EQUAL, verdicts, strict=True) if verdict is not True
    ] == []


def test_different_answers_are_wrong():
    verdicts = grade([p[0] for p in DIFFERENT], [p[1] for p in DIFFERENT], timeout_s=60)
    assert [p for p, verdict in zip(DIFFERENT, verdicts, strict=True) if verdict is not False] == []


GRADABLE = ["42", "-1,234.5", "$18", "18%", r"\frac{1}{2}", "5/11", r"27\pi", "x", "f(x)=2x"]
GRADABLE += ["(3, 7)", "[0,1)", r"x \in (1,2) \cup [3,\infty)", "D", "(A)", "AC", "A, C", "yes"]
GRADABLE += [r"864 \mbox{ inches}^2", r"\text{even}", "Evelyn", r"$\boxed{7}$", "1 和 3", "four"]
GRADABLE += [r"\begin{pmatrix} 0 & 3 \\ 0 & -1 \end{pmatrix}", "y=2 x$\n"]
NOT_GRADABLE = [None, "", "  ", "$$", "?", "def f(x):\n    return x + 1", "print(3)"]
NOT_GRADABLE += ["Let n be even; then the square of n is divisible by 4 and the claim holds."]
NOT_GRADABLE += [
    "证明：因为三角形的内角和为一百八十度，所以结论成立",
    "（1）竞争和捕食 寄生（2）见右图（3）增加",
]
NOT_GRADABLE += ["1" * 1000, "1+" * 500_000]
NOT_GRADABLE += ['__import__("os").system("touch pwned")']


@pytest.mark.parametrize("reference", GRADABLE)
def test_short_references_are_gradable(reference: str):
    assert is_gradable(reference)


@pytest.mark.parametrize("reference", NOT_GRADABLE, ids=lambda text: str(text)[:20])
def test_free_text_code_and_nothing_are_not_gradable(reference: str | None):
    assert not is_gradable(reference)
    assert grade([reference], ["42"]) == [None]


@settings(deadline=None)
@given(
    st.one_of(
        st.integers().map(str),
        st.integers().map("{:,}".format),
        st.decimals(min_value=-(10**9), max_value=10**9, places=3).map("{:,}".format),
        st.builds("{}/{}".format, st.integers(-99, 99), st.integers(1, 99)),
        st.builds(r"-\frac{{{}}}{{{}}}".format, st.integers(0, 99), st.integers(1, 99)),
        st.sets(st.sampled_from("ABCDEFGHIJ"), min_size=1).map("".join),
    )
)
def test_a_reference_is_equal_to_itself_bare_boxed_and_in_a_sentence(reference: str):
    answers = [reference, rf"\boxed{{{reference}}}", f"So the answer is {reference}.\nDone."]
    assert grade([reference] * 3, answers) == [True] * 3


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_integers_are_correct_exactly_when_they_are_equal(truth: int, found: int):
    texts = [f"The total is {found}.", f"It costs ${found:,}" if found > 0 else f"#### {found:,}"]
    assert grade([str(truth)] * 2, texts) == [truth == found] * 2


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_recognition_fail(text: str):
    assert is_gradable(text) in (True, False)


def test_human_labels_are_met_as_often_as_by_math_verify_alone(pairs: list[dict[str, Any]]):
    # math-verify 0.9 alone meets 91 of 91: they are the cases of its own test suite.
    rows = [row for row in pairs if row["label_by"].startswith("human")]
    verdicts = grade([row["gold"] for row in rows], [row["pred"] for row in rows], timeout_s=60)
    missed = [row for row, v in zip(rows, verdicts, strict=True) if v is not row["equal"]]
    assert len(rows) > 80
    assert missed == []


def test_gsm8k_outcomes_are_met_exactly(pairs: list[dict[str, Any]]):
    rows = [row for row in pairs if row["label_by"] == "openai dataset"]
    verdicts = grade([row["gold"] for row in rows], [row["pred"] for row in rows], timeout_s=60)
    assert len(rows) > 900
    assert verdicts == [row["equal"] for row in rows]


def test_other_graders_are_agreed_with_on_competition_problems(pairs: list[dict[str, Any]]):
    # Their labels have errors of their own: 12\pi against 12π, 1e-8 against 10^{-8}.
    rows = [row for row in pairs if "SkyThought" in row["source"] and len(row["gold"]) < 40]
    rows = [row for row in rows if "minerva" not in row["source"]][::8]
    verdicts = grade([row["gold"] for row in rows], [row["pred"] for row in rows], num_proc=2)
    agreed = sum(v is row["equal"] for row, v in zip(rows, verdicts, strict=True))
    assert agreed >= 0.94 * len(rows)


HOSTILE = {
    "a tower of powers": "2003^2002^2001",
    "a boxed tower": r"\boxed{9^{9^{9^9}}}",
    "nested fractions": r"\boxed{" + r"\frac{1}{" * 2000 + "2" + "}" * 2000 + "}",
    "brackets": "(" * 10**6,
    "braces": "{" * 10**6,
    "open boxes": r"\boxed{" * 150_000,
    "dollars": "$ " * 500_000,
    "a long number": "1" * 10**6,
    "a long sum": r"\boxed{" + "1+" * 500_000 + "1}",
    "anchors": "the answer is " * 70_000,
    "final answers": "final answer a b c d e f " * 40_000,
    "letters": "A " * 500_000,
    "commands": r"\text" * 200_000,
    "code": '__import__("os").system("touch {}")',
    "boxed code": '\\boxed{{__import__("os").system("touch {}")}}',
    "surrogates": "\x00\ud800\udfff\x1b \\boxed{\ud800}",
}


def test_hostile_answers_are_not_correct_nor_executed_and_their_neighbours_are_graded(
    tmp_path: Path,
):
    proof = tmp_path / "pwned"
    answers = [text.replace("{}", str(proof)) for text in HOSTILE.values()]
    neighbours = [("x+1", "$1+x$"), ("x+1", "$2+x$")]
    references = [r for text in answers for r in ("7", *(pair[0] for pair in neighbours))]
    texts = [t for text in answers for t in (text, *(pair[1] for pair in neighbours))]
    verdicts = grade(references, texts, timeout_s=2, num_proc=1)
    hostile, right, wrong = verdicts[::3], verdicts[1::3], verdicts[2::3]
    assert True not in hostile
    assert right == [True] * len(answers)
    assert wrong == [False] * len(answers)
    assert grade(["AC"] * len(answers), answers).count(True) == 0
    assert not proof.exists()


def test_a_hostile_reference_takes_down_only_itself():
    references = ["9^{9^{9^9}}", "2x+1", "9^9^9^9"]
    verdicts = grade(references, ["8^{8^{8^8}}", "$1+2x$", r"\sqrt{3}"], timeout_s=2)
    assert verdicts[1] is True
    assert True not in (verdicts[0], verdicts[2])


def test_verdicts_do_not_depend_on_the_number_of_workers_or_the_order():
    cases = [(rf"\frac{{{n} x}}{{2}}", f"$0.5x*{n + n % 3}$") for n in range(24)]
    expected: list[bool | None] = [n % 3 == 0 for n in range(24)]
    for num_proc in (1, 2):
        verdicts = grade([c[0] for c in cases], [c[1] for c in cases], num_proc=num_proc)
        assert verdicts == expected
    backwards = cases[::-1]
    assert grade([c[0] for c in backwards], [c[1] for c in backwards]) == expected[::-1]


def test_plain_answers_start_no_process_and_import_no_grader():
    script = (
        "import subprocess, sys\nfrom rbic_hf.grading import grade\n"
        "subprocess.Popen = None\n"
        "print(grade(['42', 'D', '1/2', 'yes'], ['#### 42', '(C)', '0.5', 'Yes.']))\n"
        "print('sympy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "[True, False, True, True]\nFalse\n", done.stderr


def test_nothing_to_grade_is_nothing():
    assert grade([], []) == []


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_no_limit_is_refused(timeout_s: float):
    with pytest.raises(ConfigError, match="timeout_s"):
        grade(["1"], ["1"], timeout_s=timeout_s)


def test_unequal_lengths_and_no_workers_are_refused():
    with pytest.raises(ConfigError, match="2 references for 1 answers"):
        grade(["1", "2"], ["1"])
    with pytest.raises(ConfigError, match="num_proc is 0"):
        grade(["1"], ["1"], num_proc=0)


@pytest.mark.parametrize("answer", ["So it is 72.", "It is 72.", "so it is 72", "So, 72.", "72."])
def test_a_short_sentence_is_prose_and_no_product_of_variables(answer: str) -> None:
    assert grade(["72"], [answer]) == [True]
    assert grade(["73"], [answer]) == [False]
