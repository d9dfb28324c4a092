"""Length and training cost of a row.

With a student: tokens of prompt and response in its tokenizer and chat template, and
cost c = T (1 + T / L0), L0 = N_params / (layers * d_model), the length at which attention costs as
much as the weights. Without one, tokens are estimated from the text, and cost = tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rbic_hf.errors import ModelError

VERSION = 1


class TokenCounter(Protocol):
    """Counts tokens of rows; `spec` enters the cache key."""

    spec: Mapping[str, Any]
    attention_length: float | None

    def count(self, questions: Sequence[str], responses: Sequence[str]) -> list[int]:
        """Return the tokens of prompt and response of each row."""
        ...


# One token per digit, mark or Han character; words are cut about every six letters. Against the
# tokenizer of SmolLM2 on the pools in benchmarks/LOG.md.
_PIECE = re.compile(r"[^\W\d_\u3400-\u9fff]{1,6}|[\u3400-\u9fff]|\d|[^\w\s]|_|\n+")


class EstimatedTokens:
    """Counts pieces of text, for when no student is named."""

    spec: Mapping[str, Any] = {"student": None, "version": VERSION}
    attention_length: float | None = None

    def count(self, questions: Sequence[str], responses: Sequence[str]) -> list[int]:
        """Return about as many tokens as a byte-pair tokenizer of today makes."""
        return [
            len(_PIECE.findall(question)) + len(_PIECE.findall(response))
            for question, response in zip(questions, responses, strict=True)
        ]


class StudentTokens:
    """Counts tokens as the student is trained on them: its tokenizer, its chat template.

    Args:
        folder: a model folder with a tokenizer, and a config if attention is to be counted.
        name: what the student is called in cache keys and messages.
        revision: commit or content hash.
    """

    def __init__(self, folder: str, *, name: str, revision: str) -> None:
        self.spec: Mapping[str, Any] = {"student": name, "revision": revision, "version": VERSION}
        self._tokenizer, config = _load(folder, name)
        self.attention_length = _attention_length(config)

    def count(self, questions: Sequence[str], responses: Sequence[str]) -> list[int]:
        """Return the tokens of the whole conversation of each row."""
        pairs = list(zip(questions, responses, strict=True))
        if not pairs:
            return []
        if self._tokenizer.chat_template:
            texts = [self._conversation(q, r) for q, r in pairs]
        else:
            texts = [f"{q}\n{r}" for q, r in pairs]
        encoded = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [len(ids) for ids in encoded]

    def _conversation(self, question: str, response: str) -> str:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
        text = str(self._tokenizer.apply_chat_template(turns, tokenize=False))
        if response.strip() in text:
            return text
        # Templates of reasoning models drop the thinking of past turns; training pays for it.
        start = self._tokenizer.apply_chat_template(
            turns[:1], tokenize=False, add_generation_prompt=True
        )
        return f"{start}{response}"


def training_cost(num_tokens: int, attention_length: float | None) -> float:
    """Return the cost of training on a row once, in units of one token at length 0."""
    if attention_length is None:
        return float(num_tokens)
    return num_tokens * (1 + num_tokens / attention_length)


def _load(folder: str, name: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    gguf = sorted(Path(folder).glob("*.gguf"))
    extra: dict[str, Any] = (
        {"gguf_file": gguf[0].name} if gguf and not (Path(folder) / "config.json").exists() else {}
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **extra)
    except Exception as error:
        raise ModelError(f"cannot load the tokenizer of the student {name!r}: {error}") from error
    try:
        return tokenizer, AutoConfig.from_pretrained(folder, local_files_only=True, **extra)
    except (OSError, ValueError):  # a folder with a tokenizer alone is enough for tokens
        return tokenizer, None


def _attention_length(config: Any) -> float | None:
    """Return L0 from a decoder's config, parameters counted from its shapes; None if unknown."""
    try:
        layers, width = config.num_hidden_layers, config.hidden_size
        heads = config.num_attention_heads
        kv_width = width * (getattr(config, "num_key_value_heads", None) or heads) // heads
        per_layer = 2 * width * width + 2 * width * kv_width + 3 * width * config.intermediate_size
        return float((layers * per_layer + config.vocab_size * width) / (layers * width))
    except (AttributeError, TypeError):
        return None
