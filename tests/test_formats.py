"""Facts about recognising layouts and reading rows."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.errors import DataError
from rbic_hf.formats import STATUSES, Layout, own_answer, read_row
from rbic_hf.layouts import recognise

DATA = Path(__file__).parents[2] / "shared" / "data"


def load(name):
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the shared rows are not here: {path.name}")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def recognise_rows(rows, **named):
    return recognise(list(dict.fromkeys(c for row in rows for c in row)), rows[:5], named=named)


def read(row, **named):
    return read_row(recognise_rows([row], **named), row)


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def human(text):
    return {"from": "human", "value": text}


def gpt(text):
    return {"from": "gpt", "value": text}


Q = "What is 6 * 7?"
LONG = "Six sevens are forty-two."
THOUGHT = "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n"

# row, layout, (thinking, solution, reference); the question is always Q
LAYOUTS = [
    ({"question": Q, "answer": "<<6*7=42>>42\n#### 42"}, "question/answer",
     ("", "<<6*7=42>>42\n#### 42", "42")),
    ({"problem": Q, "solution": "It is $\\boxed{42}$."}, "problem/solution",
     ("", "It is $\\boxed{42}$.", "42")),
    ({"problem": Q, "solution": LONG, "answer": 42}, "problem/solution", ("", LONG, "42")),
    ({"messages": [user(Q), assistant("<think> a </think> <answer> 42 </answer>")], "answer": "42"},
     "messages", ("a", "42", "42")),
    ({"messages": [{"role": "system", "content": "Think."}, user(Q), assistant("a</think>b")]},
     "messages", ("a", "b", None)),
    ({"messages": [user(Q), assistant("b", reasoning_content="a")]}, "messages", ("a", "b", None)),
    ({"messages": [user([{"type": "text", "text": Q}]), assistant("42")]},
     "messages", ("", "42", "42")),
    ({"messages": {"role": ["user", "assistant"], "content": [Q, "42"]}},
     "messages", ("", "42", "42")),
    ({"conversations": [human(Q), gpt(f"{THOUGHT}<|begin_of_solution|>\n\nb\n\n"
                                      "<|end_of_solution|>")], "answer": "42"},
     "conversations", ("a", "b", "42")),
    ({"conversations": [{"from": "user", "value": Q}, {"from": "assistant", "value": "42"}]},
     "conversations", ("", "42", "42")),
    ({"instruction": Q, "input": "", "output": LONG}, "alpaca", ("", LONG, None)),
    ({"instruction": Q, "input": None, "output": LONG}, "alpaca", ("", LONG, None)),
    ({"instruction": "", "input": Q, "output": LONG}, "alpaca", ("", LONG, None)),
    ({"instruction": Q, "output": LONG, "answer": ["D"]}, "alpaca", ("", LONG, "D")),
    ({"instruction": Q, "output": LONG, "answer": ["A", "C"]}, "alpaca", ("", LONG, "AC")),
    ({"instruction": Q, "output": LONG, "answer": 42.0}, "alpaca", ("", LONG, "42")),
    ({"instruction": Q, "output": "故选：D。", "answer": None}, "alpaca", ("", "故选：D。", "D")),
    ({"input": Q, "reasoning_content": "a", "content": "b", "score": 9},
     "input/reasoning_content/content", ("a", "b", None)),
    ({"prompt": Q, "completion": LONG}, "prompt/completion", ("", LONG, None)),
    ({"prompt": [user(Q)], "completion": [assistant("42")]}, "prompt/completion",
     ("", "42", "42")),
    ({"prompt": [user(Q)], "completion": "42"}, "prompt/completion", ("", "42", "42")),
    ({"prompt": Q, "response": LONG}, "prompt/response", ("", LONG, None)),
    ({"question": Q, "response": LONG, "answer": "42"}, "question/response", ("", LONG, "42")),
    ({"query": Q, "response": LONG, "original_question": "?"}, "query/response", ("", LONG, None)),
    ({"problem": Q, "generated_solution": LONG, "expected_answer": "42"},
     "problem/generated_solution", ("", LONG, "42")),
    ({"question": Q, "reasoning": LONG}, "question/reasoning", ("", LONG, None)),
    ({"question": Q, "thinking": "a", "answer": "42"}, "question/thinking/answer",
     ("a", "42", "42")),
    ({"question": Q, "reasoning": "several steps", "answer": 42}, "question/reasoning/answer",
     ("several steps", "42", "42")),
    ({"Question": Q, "Complex_CoT": "several steps", "Response": LONG},
     "question/complex_cot/response", ("several steps", LONG, None)),
    ({"input": Q, "output": LONG, "reasoning": "on"}, "input/output", ("", LONG, None)),
    ({"input": Q, "output": LONG, "thinking": True}, "input/output", ("", LONG, None)),
    ({"question": Q, "answer": LONG, "final_answer": 42}, "question/answer", ("", LONG, "42")),
    ({"problem": Q, "solution": LONG, "messages": [user(Q), assistant(LONG)]},
     "problem/solution", ("", LONG, None)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "name", "parts"), LAYOUTS, ids=[str(c[1]) for c in LAYOUTS])
@pytest.mark.parametrize("extra", [{}, {"id": 1, "meta": {"a": []}, "level": "3", "rbic_rank": 0}])
def test_each_layout_gives_the_same_parts_whatever_other_columns_there_are(row, name, parts, extra):
    row = {**extra, **row}
    layout = recognise_rows([row])
    reading = read_row(layout, row)
    assert layout.name == name
    assert reading.status == "clean"
    assert (reading.question, reading.thinking, reading.solution, reading.reference) == (Q, *parts)


def test_a_missing_layout_is_recognised_from_names_alone():
    assert recognise(["question", "answer"], []).columns == {
        "question": "question",
        "response": "answer",
    }


def test_context_follows_the_instruction():
    row = {"instruction": "Add the numbers.", "input": "1, 2", "output": "3"}
    assert read(row).question == "Add the numbers.\n\n1, 2"


def test_thinking_from_a_column_is_trained_on_with_markers():
    row = {"question": Q, "thinking": "six times seven", "response": "42"}
    assert read(row).response == "<think>\nsix times seven\n</think>\n\n42"


def test_thinking_that_is_already_in_the_response_is_not_added_twice():
    response = "<think>six times seven</think>42"
    row = {"question": Q, "thinking": "six times seven", "response": response}
    assert read(row).response == response


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, ["No known layout", "messages"]),
        ({"text": "a b c"}, ["'text'", "question=", "conversations"]),
        ({"question": Q, "steps": [LONG]}, ["'steps'", "No known layout"]),
        ({"input": Q, "target": 42}, ["'target'", "No known layout"]),
        ({"Question": Q, "Answer": 42.0, "Body": "b"}, ["'Answer'", "float"]),
        ({"messages": "[]"}, ["'messages'", "str", "lists of messages"]),
        ({"question": Q, "response": LONG, "output": "x"}, ["Ambiguous", "question/output"]),
        ({"question": Q, "problem": "?", "answer": LONG}, ["Ambiguous", "problem/answer"]),
        ({"problem": Q, "solution": LONG, "messages": [user(Q), assistant("42")]},
         ["Ambiguous", "'messages'", "conversation="]),
        ({"problem": Q, "solution": LONG, "answer": 1, "ground_truth": 2},
         ["Ambiguous", "'ground_truth'", "answer="]),
        ({"prompt": Q, "chosen": LONG, "rejected": "41"}, ["Preference", "chosen"]),
        ({"conversations": [human(Q)], "chosen": gpt("a"), "rejected": gpt("b")}, ["Preference"]),
        ({"messages": [user(Q), assistant("41")], "label": False}, ["KTO", "'label'"]),
        ({"prompt": Q, "completion": "41", "label": True}, ["KTO"]),
        ({"conversations": [human(Q), gpt("42")], "tools": '[{"name": "add"}]'}, ["Tool calls"]),
    ],
)  # fmt: skip
def test_what_is_no_reasoning_dataset_is_refused_with_its_columns(row, words):
    with pytest.raises(DataError) as caught:
        recognise_rows([row])
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"response": "trace"}, ["'trace'", "response", "['question', 'answer']"]),
        ({"reply": "answer"}, ["'reply'", "question"]),
        ({"conversation": "question", "response": "answer"}, ["not both"]),
        ({"question": "rbic_rank"}, ["'rbic_rank'"]),
    ],
)
def test_named_columns_are_checked(named, words):
    with pytest.raises(DataError) as caught:
        recognise(["question", "answer", "rbic_rank"], [{"question": Q}], named=named)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("row", "named", "expected"),
    [
        ({"a": Q, "b": "x", "c": "42"}, {"question": "a", "response": "b", "answer": "c"},
         ("", "x", "42")),
        ({"a": Q, "b": "x", "c": 42}, {"question": "a", "thinking": "b", "answer": "c"},
         ("x", "42", "42")),
        ({"a": Q, "b": LONG}, {"question": "a", "thinking": "b"}, ("", LONG, None)),
        ({"a": [user(Q), assistant("42")], "thinking": "y"}, {"conversation": "a"},
         ("", "42", "42")),
        ({"problem": Q, "solution": "s", "messages": [user(Q), assistant("t")]},
         {"conversation": "messages"}, ("", "t", None)),
        ({"problem": Q, "solution": "s", "trace": "t", "answer": "5"}, {"response": "trace"},
         ("", "t", "5")),
        ({"prompt": Q, "chosen": LONG, "rejected": "41"}, {"response": "chosen"}, ("", LONG, None)),
        ({"question": Q, "answer": "#### 42"}, {"response": None}, ("", "#### 42", "42")),
    ],
)  # fmt: skip
def test_named_columns_settle_what_names_leave_open(row, named, expected):
    reading = read(row, **named)
    assert (reading.thinking, reading.solution, reading.reference) == expected
    assert (reading.question, reading.status) == (Q, "clean")


PLAIN = Layout("question/answer", {"question": "q", "response": "r"})
CHAT = Layout("messages", {"conversation": "m"})
LOOP = "and again we get the same thing " * 40

STATUS_OF_PLAIN = [
    ({"q": Q, "r": "42"}, "clean"),
    ({"q": 5, "r": "42"}, "not_text"),
    ({"q": Q, "r": 42}, "not_text"),
    ({"q": Q, "r": b"42"}, "not_text"),
    ({"q": {"deep": {"er": []}}, "r": "42"}, "not_text"),
    (None, "not_text"),
    ("text", "not_text"),
    ({}, "no_question"),
    ({"q": " \n", "r": None}, "no_question"),
    ({"q": Q}, "no_response"),
    ({"q": Q, "r": ""}, "no_response"),
    ({"q": Q, "r": "<think></think>"}, "no_response"),
    ({"q": Q, "r": "<think>I do not know</think>\n"}, "no_response"),
    ({"q": Q, "r": "<think>it is \\boxed{42}</think>"}, "clean"),
    ({"q": Q, "r": "<think>it is"}, "unfinished_thinking"),
    ({"q": Q, "r": "<|begin_of_thought|> it is"}, "unfinished_thinking"),
    ({"q": Q, "r": "<think>" + LOOP}, "unfinished_thinking"),
    ({"q": Q, "r": "it is</think>42"}, "clean"),
    ({"q": Q, "r": LOOP}, "repetition"),
    ({"q": Q, "r": "I'm sorry, but I can't help with that."}, "refusal"),
    ({"q": Q, "r": "<think>not allowed</think>抱歉，我无法回答这个问题。"}, "refusal"),
    ({"q": Q, "r": "I'm sorry, I cannot be sure, but the answer is 42."}, "clean"),
    ({"q": Q, "r": "First add them. \\[ 40 + "}, "cut_off"),
    ({"q": Q, "r": "So \\boxed{42}. As a check: \\[ 40 + "}, "clean"),
    ({"q": Q, "r": "First we 计算 the sum, 因此 we get 42."}, "mixed_language"),
    ({"q": Q, "r": '{"answer": {"value": 42}}'}, "clean"),
]

STATUS_OF_CHAT = [
    (
        [
            user(Q),
            assistant([{"type": "thinking", "thinking": "40 + 2"}, {"type": "text", "text": "42"}]),
        ],
        "clean",
    ),
    ([], "no_question"),
    ([assistant("42")], "no_question"),
    ([user(Q)], "no_response"),
    ([user(Q), assistant(None)], "no_response"),
    ([user(Q), assistant({"a": 1})], "not_text"),
    ([user(Q), "42"], "not_text"),
    ("[]", "not_text"),
    ([user(Q), assistant("a"), user("and?"), assistant("b")], "multi_turn"),
    ([user(Q), assistant("a"), assistant("b")], "multi_turn"),
    ([assistant("Hello!"), user(Q)], "multi_turn"),
    ([user(Q), {"role": "critic", "content": "no"}, assistant("b")], "multi_turn"),
    ([user(Q), {"from": "function_call", "value": "f"}, gpt("b")], "tool_call"),
    ([user(Q), assistant("", tool_calls=[{}]), {"role": "tool"}, assistant("b")], "tool_call"),
    ([user(Q), assistant("b", tool_calls=None)], "clean"),
    ([user(Q), assistant("b", tool_calls=[])], "clean"),
]


@pytest.mark.parametrize(("row", "status"), STATUS_OF_PLAIN)
def test_a_row_that_cannot_be_used_says_why(row, status):
    assert read_row(PLAIN, row).status == status


@pytest.mark.parametrize(("messages", "status"), STATUS_OF_CHAT)
def test_a_conversation_that_is_not_one_question_and_answer_says_why(messages, status):
    assert read_row(CHAT, {"m": messages}).status == status


@pytest.mark.parametrize("thought", ["40 + 2", [{"type": "text", "text": "40 + 2"}]])
def test_thinking_may_be_a_part_of_a_message(thought):
    parts = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": "It is 42."}]
    reading = read_row(CHAT, {"m": [user(Q), assistant(parts)]})
    assert (reading.thinking, reading.solution) == ("40 + 2", "It is 42.")
    assert reading.response == "<think>\n40 + 2\n</think>\n\nIt is 42."


def test_every_status_occurs_in_these_tables():
    assert {status for _, status in [*STATUS_OF_PLAIN, *STATUS_OF_CHAT]} == set(STATUSES)


def test_a_filled_history_is_another_turn():
    row = {"instruction": Q, "input": "", "output": "42", "history": [["a", "b"]]}
    assert read(row).status == "multi_turn"
    assert read({**row, "history": []}).status == "clean"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("16\n", "16"),
        ("so it is \\boxed{5}", "5"),
        ("add\n#### 7", "7"),
        ("（1）浆细胞\n（2）抗原", None),
        ("prose " * 100, None),
        ({"value": 3}, None),
        ("", None),
    ],
)
def test_the_reference_is_what_a_grader_can_compare(answer, reference):
    row = {"question": Q, "response": LONG, "answer": answer}
    assert read(row).reference == reference


def test_an_empty_answer_column_leaves_the_response_its_own_answer():
    row = {"question": Q, "response": "So \\boxed{42}.", "answer": None}
    assert (read(row).reference, read(row).own_answer) == ("42", "42")


def test_a_wrong_response_keeps_its_own_answer_beside_the_reference():
    row = {"question": Q, "response": "So \\boxed{41}.", "answer": "42"}
    assert (read(row).reference, read(row).own_answer) == ("42", "41")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=9)
    | st.text(st.characters(exclude_categories=[]), max_size=20)
    | st.sampled_from(["user", "assistant", "<think>", "</think>", "\\boxed{"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "text"]), inner),
    max_leaves=12,
)  # fmt: skip
COLUMNS = ("question", "response", "answer", "thinking", "messages", "input", "label", "tools")


ANY_LAYOUTS = [
    {"question": "question", "response": "response", "thinking": "thinking", "answer": "answer"},
    {"question": "question", "response": "answer", "thinking": "thinking", "answer": "answer"},
    {"question": "question", "response": "response", "context": "input", "history": "label"},
    {"conversation": "messages", "answer": "answer"},
]


@given(st.dictionaries(st.sampled_from(COLUMNS), JSON), st.sampled_from(ANY_LAYOUTS))
def test_no_row_makes_the_reader_raise(values, columns):
    reading = read_row(Layout("any", columns), values)
    assert reading.status in STATUSES
    for text in (reading.question, reading.thinking, reading.solution, reading.response):
        text.encode()
    if reading.status == "clean":
        assert reading.question.strip()
        assert reading.response.strip()


@given(
    st.lists(st.sampled_from(COLUMNS), unique=True),
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), JSON), max_size=3),
)
def test_recognising_any_rows_gives_a_layout_or_a_data_error(columns, rows):
    try:
        layout = recognise(columns, rows)
    except DataError as error:
        assert str(columns) in str(error) or "Ambiguous" in str(error)
    else:
        assert set(layout.columns.values()) <= set(columns)


# pool -> rows, layout, statuses, rows with a reference
POOLS = {
    "gsm8k_train": (7473, "question/answer", {"clean": 7473}, 7473),
    "math_boxed": (4500, "problem/solution", {"clean": 4500}, 4500),
    "r1_think_messages": (1767, "messages", {"clean": 1767}, 1767),
    "long_thought_sharegpt": (
        400, "conversations", {"unfinished_thinking": 92, "cut_off": 2, "clean": 306}, 400,
    ),
    "math_alpaca": (1000, "alpaca", {"clean": 1000}, 1000),
    "code_mbpp_alpaca": (974, "alpaca", {"clean": 974}, 0),
    "zh_gaokao_alpaca": (1343, "alpaca", {"clean": 1343}, 987),
}  # fmt: skip


@pytest.mark.parametrize("pool", POOLS)
def test_real_pools_are_read_without_naming_a_column(pool):
    rows = load(f"pools/{pool}")
    layout = recognise_rows(rows)
    readings = [read_row(layout, row) for row in rows]
    found = [reading.status for reading in readings]
    graded = sum(reading.reference is not None for reading in readings)
    counts = {status: found.count(status) for status in STATUSES if status in found}
    assert (len(rows), layout.name, counts, graded) == POOLS[pool]


def test_gsm8k_references_are_what_follows_the_hashes():
    rows = load("pools/gsm8k_train")
    layout = recognise_rows(rows)
    expected = [row["answer"].split("#### ")[1].strip() for row in rows]
    assert [read_row(layout, row).reference for row in rows] == expected


def test_chinese_choices_end_in_the_reference_but_for_a_few():
    rows = [row for row in load("pools/zh_gaokao_alpaca") if isinstance(row["answer"], list)]
    layout = recognise_rows(rows)
    readings = [read_row(layout, row) for row in rows]
    assert {reading.language for reading in readings} == {"zh"}
    agreeing = sum(reading.reference == reading.own_answer for reading in readings)
    assert agreeing >= 0.98 * len(rows)


@pytest.mark.parametrize("name", ["dpo_en_demo", "kto_en_demo", "glaive_toolcall_en_demo"])
def test_real_rows_that_are_no_reasoning_are_refused(name):
    with pytest.raises(DataError, match=r"Preference|KTO|Tool calls"):
        recognise_rows(load(f"formats/{name}"))


def test_real_tool_calls_are_set_aside_row_by_row_when_the_user_insists():
    rows = load("formats/glaive_toolcall_en_demo")
    layout = recognise_rows(rows, conversation="conversations")
    found = [read_row(layout, row).status for row in rows]
    counts = {status: found.count(status) for status in set(found)}
    assert counts == {"multi_turn": 48, "tool_call": 7, "refusal": 2, "clean": 3}


def test_plain_chinese_instructions_pass_without_a_reference():
    rows = load("formats/alpaca_zh_demo")
    layout = recognise_rows(rows)
    readings = [read_row(layout, row) for row in rows]
    assert {reading.reference for reading in readings} == {None}
    # the one refusal cannot answer a riddle of "123_" and says so
    assert [r.status for r in readings if r.status != "clean"] == ["refusal"]


@pytest.mark.parametrize("name", ["tests/svamp", "tests/multiarith", "labels/chains"])
def test_files_without_responses_are_refused(name):
    with pytest.raises(DataError, match="Accepted"):
        recognise_rows(load(name))


@pytest.mark.parametrize("row", [row for row, *_ in LAYOUTS])
def test_the_own_answer_can_be_read_again_from_the_response(row):
    found = read(row)
    assert own_answer(found.response) == found.own_answer
