"""The depth of reasoning: hand-drawn graphs, what must not change it, human-checked chains."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from rbic_hf.steps import Complexity, dependencies, measure, segment, trace

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILLERS = [
    "Okay, let me think about this.",
    "Hmm, let me see.",
    "I should be careful here.",
    "Now, let's move on to the next part.",
]


def rows_of(name):
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}.jsonl")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def chains():
    return [
        ("\n".join(re.sub(r"^Step \d+:\s*", "", s) for s in row["steps"]), row["premises"])
        for row in rows_of("labels/chains")
    ]


def longest_path(premises):
    depths = []
    for links in premises:
        depths.append(1 + max((depths[at] for at in links), default=0))
    return max(depths)


GRAPHS = {
    "three dependent equations": ("x = 3\ny = x + 4\nz = 5y", 3, [(), (0,), (1,)]),
    "linked by their results": ("3 * 4 = 12\n12 * 5 = 60\n60 - 7 = 53", 3, [(), (0,), (1,)]),
    "three facts, then one that joins them": (
        "a = 3\nb = 4\nc = 5\nd = a + b + c",
        2,
        [(), (), (), (0, 1, 2)],
    ),
    "independent facts": ("a = 3\nb = 4\nc = 5", 1, [(), (), ()]),
    "a diamond": ("x = 7\ny = x + 3\nz = x - 4\nw = y z", 3, [(), (0,), (0,), (1, 2)]),
    "named quantities": (
        "Running speed = 3 * 4\nWalking speed = Running speed / 5\nTime = 9 / Walking speed",
        3,
        [(), (0,), (1,)],
    ),
    "working out one quantity is one step": (
        "T = 3 * 4 + 8\nT = 12 + 8\nT = 20",
        1,
        [(), (0,), (1,)],
    ),
    "a line that opens with = goes on": ("T = 3 * 4 + 8\n= 12 + 8\n= 20", 1, [(), (0,), (1,)]),
    "a connective without symbols in common": (
        "There are 7 cats.\nSo Ann buys 9 bowls.",
        2,
        [(), (0,)],
    ),
    "the last producer counts": (
        "x = 3\ny = x + 4\ny = 5x\nz = y + 6",
        3,
        [(), (0,), (0, 1), (2,)],
    ),
    # The announcement itself links to x; the equation under it belongs to the same step.
    "an announcement and its equation are one step": (
        "x = 33\nSubstitute x into the other equation:\n7 + 8 = 15",
        2,
        [(), (0,), ()],
    ),
    "all that is announced is one step": (
        "There are 7 cats.\nWe find the bowls for all of them.\na = 7 * 3\nb = 7 * 4",
        2,
        [(), (), (0,), (0,)],
    ),
    "an equation that builds on the one above it is a step of its own": (
        "There are 7 cats.\nWe find the bowls for all of them.\na = 7 * 3\nb = 4a",
        3,
        [(), (), (0,), (2,)],
    ),
    "under headings only a heading opens a step": (
        "Find the cats.\nThere are 7 * 3 = 21 cats.\nThen 21 - 4 = 17 are fed.\n"
        "Find the bowls.\nSo 17 * 5 = 85 bowls.",
        2,
        [(), (), (1,), (), (2,)],
    ),
    "one heading does not cut a text": (
        "Find the cats.\nThere are 7 * 3 = 21 cats.\nThen 21 - 4 = 17 are fed.",
        2,
        [(), (), (1,)],
    ),
    "numbered and bold headings": (
        "Follow these steps:\n\n1. **Find the cats:**\n   - 7 * 3 = 21\n   - 21 - 4 = 17\n\n"
        "2. **Find the bowls:**\n   - 17 * 5 = 85",
        2,
        [(), (), (), (2,), (), (3,)],
    ),
    "a sentence after a result is a new step": (
        "Ann has 3 * 4 = 12 cats. She buys 12 + 5 = 17 bowls.",
        2,
        [(), (0,)],
    ),
    "a remark opens nothing": ("We find the bowls.\nLet me see.\n3 * 4 = 12", 1, [(), (), ()]),
    "the s of a contraction is no symbol": (
        "Let's take 7 cats.\nAnn's bowls are 9.\nIt's 13 cups.",
        1,
        [(), (), ()],
    ),
    "calculator marks": (
        "5 x 3 = <<5*3=15>>15 a day.\n15 + 50 = <<15+50=65>>65 in all.",
        2,
        [(), (0,)],
    ),
    "a common number links nothing": ("7 - 5 = 2\n2 * 8 = 16", 1, [(), ()]),
    "one case does not follow from the other": (
        "x - 5 = 7\nx = 12\n-x + 5 = 8",
        2,
        [(), (0,), ()],
    ),
    "a case knows nothing of the one before it, and what comes after both knows both": (
        "y = 7\nCase 1: x = y + 4\n5x = 21\nCase 2: x = y - 4\n9x = 35\n"
        "In both cases, 21 + 35 = 56",
        4,
        [(), (0,), (1,), (0,), (3,), (2, 4)],
    ),
    "what is taken back produces nothing": (
        "3 * 4 = 12\n12 + 5 = 17\nNo, that's wrong.\n12 + 7 = 19\n19 - 5 = 14\n17 * 3 = 51",
        3,
        [(), (0,), (), (0,), (3,), ()],
    ),
    "a noun that stands for an amount": (
        "She has 16 - 3 = 13 eggs.\nThe remaining eggs are sold for 26 dollars.",
        2,
        [(), (0,)],
    ),
    "a correction is a step of its own": (
        "x = 5.\nSo y = x + 1 = 6.\nNo, that's wrong.\ny = x + 2 = 7.",
        2,
        [(), (0,), (), (0,)],
    ),
    "a correction in the same line": (
        "x = 5.\nSo y = x + 1 = 6.\nNo, that's wrong, y = x + 2 = 7.",
        2,
        [(), (0,), (0,)],
    ),
    "unknowns that are solved are evaluated": (
        "x + 5 = 12\nx = 7\ny = 2x\ny = 14\nx + y = 21",
        4,  # y = 14 works y = 2x out
        [(), (0,), (1,), (2,), (1, 3)],
    ),
    "a chain that is given up does not count": (
        "3 * 4 = 12\n12 + 5 = 17\n17 * 3 = 51\nLet me start over.\n3 * 6 = 18",
        1,
        [(), (0,), (1,), (), ()],
    ),
    "what is used again after a new start counts": (
        "3 * 4 = 12\n12 + 5 = 17\nLet me start over.\n17 * 3 = 51",
        3,
        [(), (0,), (), (1,)],
    ),
    "a check that arrives at what is known adds nothing": (
        "3 * 4 = 12\n12 + 5 = 17\nCheck: 17 - 5 = 12\n17 * 3 = 51",
        3,
        [(), (0,), (1,), (1,)],
    ),
    "labels and references": (
        "p = 7 * 9 = 63 (1)\nq = 5 * 8 = 40 (2)\nFrom (1), r = 3 s",
        2,
        [(), (), (0,)],
    ),
    "circled labels": ("p = 7 * 9 = 63 ①\nq = 5 * 8 = 40 ②\n由②得 r = 3 s", 2, [(), (), (1,)]),
    "numbered steps": (
        "Step 1: Find p.\n7 * 9 = 63\nStep 2: Find q.\n5 * 8 = 40\nStep 3: Find r.\n"
        "By step 1, r = 3 s",
        2,
        [(), (), (), (), (), (1, 4)],  # r was named in the heading
    ),
    "a number in another form": (
        "7 / 14 = 0.5\nHence 50% of 84 is left, that is 84 * 1/2 = 42\nforty-two times 3 is more",
        3,
        [(), (0,), (1,)],
    ),
    "the order of computations that share a given number does not matter": (
        "5 * 4 = 20\n5 * 7 = 35\n20 + 35 = 55",
        2,
        [(), (), (0, 1)],
    ),
    "an equation said again in other words is a repeat": (
        "Ann has 3 * 4 = 12 cups.\n3 × 4 = 12\n12 + 5 = 17",
        2,
        [(), (), (0,)],
    ),
    "a repeated fact is no new step": (
        "3 * 4 = 12\n12 + 5 = 17\nAgain, 3 * 4 = 12.",
        2,
        [(), (0,), ()],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_hand_drawn_graphs_have_their_depth(name):
    text, depth, premises = GRAPHS[name]
    assert measure(text).depth == depth
    assert dependencies(segment(text)) == premises


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "Let x = 3.\nSo y = x + 4.\nTherefore z = 5y.",
            "设x = 3。\n所以y = x + 4。\n因此z = 5y。",
        ),
        ("a = 3\nb = 4\nc = a + b = 7", "a＝3，\nb＝4；c＝a＋b＝7"),
        ("There are 7 cats.\nThus 9 bowls.\nHence 6 cups.", "有7只猫。于是9个碗。从而6个杯子。"),
        ("Price = 3 * 4\nCost = Price * 7", "单价 = 3 × 4\n总价 = 单价 × 7"),
        (
            "All men are mortal. Thus he is mortal. So he dies.",
            "人皆有死。故他有死。则他会死。",
        ),
    ],
)
def test_english_and_chinese_twins_have_equal_depth(english, chinese):
    ours, theirs = measure(english), measure(chinese)
    assert (ours.depth, ours.symbolic) == (theirs.depth, theirs.symbolic)
    assert ours.depth >= 2


SYSTEM = "x_1 + 5 = 12\nx_1 = 7\nx_2 = 2x_1\nx_2 = 14\nx_1 + x_2 = 21\nx_2 - x_1 = 7"


@pytest.mark.parametrize(
    "write",
    [
        lambda line: line.replace("x_1", "x_{1}").replace("x_2", "x_{2}"),
        lambda line: line.replace("x_1", "α").replace("x_2", "β"),
        lambda line: line.replace("x_1", r"\alpha").replace("x_2", r"\beta"),
        lambda line: f"${line}$",
        lambda line: rf"\({line}\)",
        lambda line: rf"\[{line}\]",
        lambda line: f"`{line}`",
        lambda line: f"We have {line}",
        lambda line: f"So {line}",
        lambda line: f"接下来，{line}",
        lambda line: f"- {line}",
        lambda line: line.replace("=", "&=") + r" \\",
    ],
)
def test_typography_and_conclusions_buy_no_depth(write):
    written = "\n".join(write(line) for line in SYSTEM.split("\n"))
    assert measure(written).depth == measure(SYSTEM).depth == 5


@pytest.mark.parametrize(
    "label",
    [
        "Step 3: ",
        "Case 3: ",
        "Part 3: ",
        "情况3：",
        "第3步：",
        "步骤3：",
        "3. ",
        "3、",
        "（3）",
        "### 3. ",
    ],
)
def test_the_number_of_a_step_is_no_symbol(label):
    assert measure(f"There are 30 boxes.\n30 / 10 = 3\n{label}y = 40 - 5 = 35").depth == 1


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<Think>", "</Think>"),
        ("< think >", "</ think >"),
        ("<thoughts>", "</thoughts>"),
        ("<longcat_think>", "</longcat_think>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
    ],
)
def test_markers_of_thinking_are_no_part_of_it(opening, closing):
    text = f"{opening}x = 5.\nSo y = 3x = 15.{closing}y + 6 = 21"
    assert measure(text) == measure("x = 5.\nSo y = 3x = 15.\ny + 6 = 21")


def test_renaming_variables_leaves_the_graph_unchanged():
    text = "Let x = 3 and y = 4.\nSo z = x + y = 7.\n\\[ x^3 + 5y = w \\]\nThe value of w is 47."
    links = dependencies(segment(text))
    assert [bool(link) for link in links] == [False, True, True, True]
    for names in ("pqrt", "abcd", "SPQR", "nmlk"):
        renamed = text
        for old, new in zip("xyzw", names, strict=True):
            renamed = re.sub(rf"(?<![A-Za-z]){old}(?![A-Za-z])", new, renamed)
        assert dependencies(segment(renamed)) == links


@pytest.mark.parametrize("middle", ["\n", "\n\nLet me check.\n\n"])
def test_reading_a_chain_twice_leaves_its_depth_exactly_equal(middle):
    for text, _ in chains():
        assert measure(text + middle + text).depth == measure(text).depth


@pytest.mark.parametrize(
    ("pool", "read"),
    [
        ("gsm8k_train", lambda row: row["answer"]),
        ("math_boxed", lambda row: row["solution"]),
        ("r1_think_messages", lambda row: row["messages"][-1]["content"]),
        ("long_thought_sharegpt", lambda row: row["conversations"][-1]["value"]),
        ("math_alpaca", lambda row: row["output"]),
        ("code_mbpp_alpaca", lambda row: row["output"]),
        ("zh_gaokao_alpaca", lambda row: row["output"]),
    ],
)
def test_reading_a_pool_row_twice_leaves_its_depth_exactly_equal(pool, read):
    for row in rows_of(f"pools/{pool}")[::20]:
        text = read(row)
        once = measure(text)
        for middle in ("\n", "\n\nLet me check.\n\n"):
            twice = measure(text + middle + text)
            assert (twice.depth, twice.symbolic) == (once.depth, once.symbolic)
            assert twice.novel_steps <= once.novel_steps + 1


@pytest.mark.parametrize("filler", FILLERS)
def test_filler_lines_change_at_most_one_chain_in_twenty(filler):
    texts = [text for text, _ in chains()]
    padded = ["\n".join(f"{line}\n{filler}" for line in text.split("\n")) for text in texts]
    changed = sum(
        measure(long).depth != measure(text).depth for long, text in zip(padded, texts, strict=True)
    )
    assert changed <= len(texts) / 20


def agreement(texts, truth):
    return spearmanr([measure(text).depth for text in texts], truth).statistic


def test_depth_ranks_human_checked_chains_and_length_does_not_explain_it():
    texts, premises = zip(*chains(), strict=True)
    truth = [longest_path(links) for links in premises]
    depths = [measure(text).depth for text in texts]
    lengths = [len(text) for text in texts]
    assert agreement(texts, truth) >= 0.7
    of_truth, of_length = spearmanr(depths, truth).statistic, spearmanr(depths, lengths).statistic
    length_of_truth = spearmanr(lengths, truth).statistic
    given_length = (of_truth - of_length * length_of_truth) / (
        (1 - of_length**2) * (1 - length_of_truth**2)
    ) ** 0.5
    assert given_length >= 0.65
    assert of_length < 0.35


@pytest.mark.parametrize("source", ["gsm8k", "math", "metamathqa", "orca_math"])
def test_depth_ranks_the_chains_of_each_source(source):
    is_wanted = [row["source"] == source for row in rows_of("labels/chains")]
    wanted = [chain for chain, keep in zip(chains(), is_wanted, strict=True) if keep]
    texts, premises = zip(*wanted, strict=True)
    assert agreement(texts, [longest_path(links) for links in premises]) >= 0.6


@pytest.mark.parametrize(
    ("layout", "least"),
    [
        (lambda text: text.replace("\n", "\n\n"), 0.7),
        (lambda text: " ".join(text.split()), 0.5),
        (lambda text: "To solve this, we follow these steps.\n" + text, 0.7),
        (lambda text: text.replace("\n", "\n   "), 0.7),
    ],
    ids=["blank lines", "one line", "a preamble", "indented"],
)
def test_layout_does_not_carry_the_ranking(layout, least):
    texts, premises = zip(*chains(), strict=True)
    truth = [longest_path(links) for links in premises]
    assert agreement([layout(text) for text in texts], truth) >= least


def test_words_around_a_few_symbols_lower_the_confidence():
    told = "红绿色盲的患者都有女儿。母亲携带致病基因。父亲表现正常。儿子可能患病。"
    assert measure("x = 3。" + told).confidence == pytest.approx(2 / 5)
    assert measure("x = 3\ny = 5x\nBoth of them are prime numbers.").confidence == 1


def test_prose_falls_back_to_distinct_linked_segments():
    text = "Birds have wings. So they may fly. Hence they may leave. So they may fly."
    prose = measure(text)
    assert not prose.symbolic
    assert prose.depth == 2
    assert measure("Just one remark.").depth == 1


def test_the_counts_of_a_small_text_are_those_counted_by_hand():
    text = "a = 3\nb = 4\nc = a + b = 7\nWait, a = 3.\nHmm, is that right?"
    assert measure(text) == Complexity(
        steps=5,
        novel_steps=4,
        depth=2,
        width=2,
        edges=2,
        operators=5,
        branch_density=2 / 5,
        loop_share=1 / 5,
        tail_share=0.0,
        confidence=1.0,
    )


@pytest.mark.parametrize("text", ["", "   \n\n", "*** ---", "。。。"])
def test_a_text_without_segments_is_all_zeros(text):
    assert measure(text, answer="3") == Complexity(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "answer", "tail"),
    [
        ("3 * 4 = 12\nabcdefghij", "12", 0.5),
        ("3 * 4 = 12\nabcdefghij", None, 0.0),
        ("3 * 4 = 12\nabcdefghij", "", 0.0),
        ("3 * 4 = 12\nabcdefghij", "4.5", 0.0),
        ("abcdefghij\n3 * 4 = 12", "12", 0.0),
        ("12 cats\n3 * 4 = 12\nabcdefghij", "12", 10 / 27),  # reached by the equation
        (r"$\boxed{\frac{1}{3}}$" + "\n" + "a" * 21, r"\frac{1}{3}", 0.5),
        ("1,200 is the answer\n" + "a" * 19, "1200", 0.5),
        ("x = 12.5\nabcdefgh", "12", 0.0),
        ("12.5 cats\n5 * 2.5 = 12.5\nabcdefghij", "12.5", 10 / 33),
        ("故选：B。\n以上六个字", "B", 0.5),
    ],
)
def test_the_tail_starts_after_the_answer_is_first_reached(text, answer, tail):
    assert measure(text, answer=answer).tail_share == pytest.approx(tail)


HOSTILE = {
    "brackets": "(" * 1_000_000,
    "nested latex": r"\frac{" * 150_000,
    "one long number": "9" * 1_000_000,
    "a tower of powers": "x = 9^9^9^9^9 = " + "9^" * 300_000,
    "stars": "*" * 1_000_000 + "a",
    "steps without a stop": "a To " * 200_000,
    "spaces after a stop": "a. " + " " * 1_000_000 + "b",
    "abbreviations": "e.g. A " * 140_000,
    "NUL and lone surrogates": "\0\ud800=" * 300_000,
    "open calculator marks": "<<" * 500_000,
    "groups of thousands": "1,234," * 160_000,
    "many short lines": "a\n" * 500_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_megabytes_are_measured(name):
    result = measure(HOSTILE[name], answer="9")
    assert 0 <= result.depth <= result.steps
    assert result.depth <= 2


PIECES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(["\n", "\\\\", "\r", "$", "=", "+", ":", "}", "\\frac{", "<<3=4>>", "```"]),
        st.sampled_from(["x", "y", "3", "12", "so ", "因此", "。", ". A", "the sum ", "wait, "]),
    ),
    max_size=40,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(PIECES, st.one_of(st.none(), st.text(max_size=4)))
def test_any_text_is_measured_within_its_bounds(text, answer):
    result = measure(text, answer=answer)
    assert max(result.depth, result.novel_steps, result.width) <= result.steps
    assert (result.depth == 0) == (result.width == 0) == (result.steps == 0)
    for share in (result.branch_density, result.loop_share, result.tail_share):
        assert 0 <= share <= 1
    parts = segment(text)
    assert result.steps == len(trace(text, answer=answer).nodes)
    for at, links in enumerate(dependencies(parts)):
        assert all(0 <= link < at for link in links)
        assert list(links) == sorted(set(links))


@settings(deadline=None, max_examples=300)
@given(PIECES)
def test_any_text_read_twice_has_the_same_depth(text):
    assert measure(text + "\n" + text).depth == measure(text).depth
    assert measure(text + "\n\nLet me check.\n\n" + text).depth == max(measure(text).depth, 1)


def test_a_trace_says_how_each_segment_stands() -> None:
    found = trace("a = 3 * 5\nOkay.\nb = a + 4\nAgain, a = 3 * 5\nNo, that's wrong.\nc = b + 7")
    assert [node.kind for node in found.nodes] == [
        *("equation", "words", "equation", "repeat", "words", "equation")
    ]
    assert found.nodes[2].premises == (0,)
    assert found.nodes[2].symbols == ("a",)
    assert found.chain == (0, 2, 5)
    assert [found.nodes[at].level for at in found.chain] == [1, 2, 3]


def test_the_chain_is_as_long_as_the_depth_and_each_link_holds() -> None:
    for text, _ in chains():
        found = trace(text)
        levels = [found.nodes[at].level for at in found.chain if found.nodes[at].level]
        assert levels == sorted(levels)
        assert max(levels) == found.complexity.depth
        assert set(levels) == set(range(1, found.complexity.depth + 1))
