"""Questions to chat messages, with an instruction about the answer's form in the row's language."""

from __future__ import annotations

import re

from rbic_hf.protocols import ChatMessage

VERSION = 1

_INSTRUCTIONS = {
    ("en", False): "Reason step by step, and put your final answer within \\boxed{}.",
    ("en", True): "Reason step by step, and put the letter of your choice within \\boxed{}.",
    ("zh", False): "请一步一步推理，并把最终答案写在 \\boxed{} 里。",
    ("zh", True): "请一步一步推理，并把所选选项的字母写在 \\boxed{} 里。",
}
_LETTERS = re.compile(r"[A-H](?:[ ,、]*[A-H]){0,7}\Z")


def prompt(
    question: str, *, language: str, reference: str | None, instruction: str | None = None
) -> list[ChatMessage]:
    """Return the chat messages that ask `question` once.

    A reference of option letters ("D", "AC") makes it a multiple-choice instruction; an
    `instruction` of the user's own replaces either.
    """
    if instruction is not None:
        return [{"role": "user", "content": f"{question}\n\n{instruction}"}]
    choice = reference is not None and _LETTERS.match(reference.strip()) is not None
    standard = _INSTRUCTIONS["zh" if language == "zh" else "en", choice]
    return [{"role": "user", "content": f"{question}\n\n{standard}"}]
