"""What a question is followed by."""

from __future__ import annotations

import pytest

from rbic_hf.prompts import prompt


@pytest.mark.parametrize(
    ("language", "reference", "asked"),
    [
        ("en", "42", "your final answer within \\boxed{}"),
        ("en", None, "your final answer within \\boxed{}"),
        ("en", "D", "the letter of your choice"),
        ("en", "A, C", "the letter of your choice"),
        ("en", "DC", "the letter of your choice"),
        ("en", "Dog", "your final answer"),
        ("en", "D\n", "the letter of your choice"),
        ("zh", "42", "最终答案"),
        ("zh", "AC", "选项的字母"),
        ("other", "42", "your final answer"),
    ],
)
def test_the_instruction_follows_language_and_kind(
    language: str, reference: str | None, asked: str
) -> None:
    [message] = prompt("Q?", language=language, reference=reference)
    assert message["role"] == "user"
    assert message["content"].startswith("Q?\n\n")
    assert asked in message["content"]


def test_an_instruction_of_ones_own_replaces_it() -> None:
    [message] = prompt("Q?", language="zh", reference="A", instruction="Just the number.")
    assert message["content"] == "Q?\n\nJust the number."
