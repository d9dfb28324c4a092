"""Benchmarks from wherever they are named: which columns, which splits, which names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, IterableDataset

from rbic_hf.benchmark_questions import Benchmark, load
from rbic_hf.errors import ConfigError, DataError

TWO = {"question": ["What is 2+3?", "What is 4+5?"]}


@pytest.mark.parametrize(
    ("columns", "question"),
    [
        ({"question": ["Q"], "answer": ["#### 3"]}, "Q"),
        ({"problem": ["Q"], "solution": ["S"], "answer": ["3"], "level": [2]}, "Q"),
        ({"input": ["Q"], "target": [39]}, "Q"),
        ({"Question": ["Q"], "Body": ["B"], "Answer": [1.0], "Type": ["t"]}, "B\n\nQ"),
        ({"instruction": ["Q"], "input": ["context"], "output": ["o"]}, "Q\n\ncontext"),
        ({"prompt": ["Q"], "canonical_solution": ["s"], "task_id": ["t"]}, "Q"),
        ({"question": ["Q"], "choices": [["a", "b"]], "answer": [1], "subject": ["law"]}, "Q"),
        ({"messages": [[{"role": "user", "content": "Q"}]]}, "Q"),
        ({"prompt": [[{"role": "user", "content": "Q"}]]}, "Q"),
        ({"number": [1], "text": [" Q "]}, "Q"),
        ({"query": ["Q"], "gold": [[0]]}, "Q"),
    ],
)
def test_the_question_of_common_benchmarks_is_found(columns: dict[str, Any], question: str) -> None:
    assert load([Dataset.from_dict(columns)]) == (Benchmark("dataset-1", (question,)),)


@pytest.mark.parametrize(
    ("benchmarks", "error", "message"),
    [
        (5, ConfigError, "benchmarks=5 is not accepted; give a list of Hub ids"),
        ([5], ConfigError, r"benchmarks=\[5\] is not accepted"),
        ([["q", 5]], ConfigError, "is not accepted"),
        ("gone.jsonl", DataError, "gone.jsonl.*Question texts go into a list of their own"),
        ([Dataset.from_dict({"a": ["x"], "b": ["y"]})], DataError, r"\['a', 'b'\].*call one"),
        ([Dataset.from_dict({"foo": ["x"]})], DataError, r"\['foo'\].*call one"),
        ([Dataset.from_dict({"question": ["x"], "problem": ["y"]})], DataError, "clearly the"),
        ([Dataset.from_dict({"question": ["", None]})], DataError, "no row with a question"),
        ([[]], DataError, "no row with a question"),
    ],
)
def test_what_is_no_benchmark_is_an_error(
    benchmarks: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(benchmarks)


@pytest.mark.parametrize(
    ("splits", "chosen"),
    [
        (["train", "test"], ["/test"]),
        (["train", "test_easy", "test_hard"], ["/test_easy", "/test_hard"]),
        (["train", "validation"], ["/validation"]),
        (["aime24", "aime25"], ["/aime24", "/aime25"]),
        (["train"], [""]),
    ],
)
def test_of_several_splits_those_are_read_that_are_evaluated_on(
    splits: list[str], chosen: list[str]
) -> None:
    parts = DatasetDict({name: Dataset.from_dict({"question": [name]}) for name in splits})
    found = load([parts])
    assert [b.name for b in found] == [f"dataset-1{end}" for end in chosen]
    if len(splits) > 1:
        assert [b.questions for b in found] == [(end.removeprefix("/"),) for end in chosen]


def test_files_are_named_without_their_path_and_names_are_distinct(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "test.jsonl"
        path.write_text("".join(json.dumps({"question": q}) + "\n" for q in TWO["question"]))
    found = load([str(tmp_path / "a" / "test.jsonl"), tmp_path / "b" / "test.jsonl", ["Q", " "]])
    assert [b.name for b in found] == ["test", "test-2", "questions-3"]
    assert found[0].questions == tuple(TWO["question"])
    assert [b.num_questions for b in found] == [2, 2, 1]
    assert load(tmp_path / "a" / "test.jsonl")[0].num_questions == 2


def test_a_stream_is_read_and_rows_without_a_question_keep_their_place() -> None:
    stream = IterableDataset.from_generator(lambda: iter([{"question": None}, {"question": "Q"}]))
    (found,) = load(stream)
    assert found.questions == ("", "Q") and found.num_questions == 1
    assert load(None) == load([]) == ()
