"""Prompts as a model's tokens, in its chat template, and how many of them it takes.

Nothing here loads weights: prompts that are too long are found before an engine starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbic_hf.errors import ModelError
from rbic_hf.protocols import ChatMessage


def gguf_file(folder: str) -> dict[str, str]:
    """Return the argument that makes transformers read a folder of GGUF; empty for any other."""
    files = sorted(Path(folder).glob("*.gguf"))
    is_gguf = bool(files) and not (Path(folder) / "config.json").exists()
    return {"gguf_file": files[0].name} if is_gguf else {}


class PromptTokens:
    """The tokenizer and the window of the model in a folder.

    Raises:
        ModelError: the folder holds no such model, or `max_new_tokens` fills its window.
    """

    def __init__(
        self, folder: str, *, name: str, max_new_tokens: int, max_prompt_tokens: int
    ) -> None:
        from transformers import AutoConfig, AutoTokenizer

        extra: dict[str, Any] = {"local_files_only": True, **gguf_file(folder)}
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, **extra)
            config: Any = AutoConfig.from_pretrained(folder, **extra)
        except Exception as error:
            raise ModelError(f"cannot load the prober {name!r}: {error}") from error
        room = getattr(config.get_text_config(), "max_position_embeddings", None) or (1 << 30)
        self.longest = min(max_prompt_tokens, room - max_new_tokens)
        if self.longest < 1:
            raise ModelError(
                f"max_new_tokens={max_new_tokens} leaves no room for a prompt in the "
                f"{room} tokens of {name!r}"
            )

    def of(self, prompt: Sequence[ChatMessage]) -> list[int]:
        """Return a prompt's tokens; plain text where the model has no chat template."""
        if not self.tokenizer.chat_template:
            text = "\n\n".join(message["content"] for message in prompt) + "\n\n"
        else:
            text = self.tokenizer.apply_chat_template(
                list(prompt), tokenize=False, add_generation_prompt=True
            )
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
