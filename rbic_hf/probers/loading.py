"""The weights of a causal language model in a local folder: what probers and scorers share."""

from __future__ import annotations

from typing import Any

from rbic_hf.errors import ModelError
from rbic_hf.probers.chat_template import gguf_file


def best_device() -> str:
    """Return "cuda", "mps" or "cpu", whichever is the fastest that there is."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_model(folder: str, device: str, *, what: str) -> Any:
    """Return the model, ready for inference on `device`, in half precision.

    A folder with a .gguf file and no config.json is loaded as GGUF (extra `gguf`).

    Raises:
        ModelError: the folder holds no such model; `what` it is for is named.
    """
    try:
        return _load(folder, device)
    except Exception as error:
        raise ModelError(f"cannot load {what}: {error}") from error


def _load(folder: str, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    extra: dict[str, Any] = gguf_file(folder)
    # float16 where bfloat16 is emulated or missing, as on Colab's T4
    half = (
        torch.bfloat16 if device != "cuda" or torch.cuda.is_bf16_supported(False) else torch.float16
    )
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, dtype=half, **extra
    )
    model.train(False)
    if extra:  # views into the file are unaligned: copying them doubles the speed on a CPU
        for parameter in model.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    return model.to(device)
