"""rbic_hf: keeps the small part of a reasoning dataset that teaches the most.

    >>> from datasets import load_dataset
    >>> from rbic_hf import rbic_refine
    >>> ds = load_dataset("openai/gsm8k", "main", split="train")  # doctest: +SKIP
    >>> small = ds.pipe(rbic_refine, ratio=0.16)  # doctest: +SKIP

Importing it adds `pipe` to the dataset classes and loads no model library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rbic_hf.piping import disable_pipe, enable_pipe, pipe

if TYPE_CHECKING:
    from rbic_hf import transforms
    from rbic_hf.config import RbicConfig
    from rbic_hf.errors import ConfigError, DataError, HubError, ModelError, RbicError
    from rbic_hf.explanation import Explanation, explain
    from rbic_hf.likelihood_columns import with_likelihoods
    from rbic_hf.picking import select
    from rbic_hf.pictures import draw as draw_pictures
    from rbic_hf.probers.columns import ColumnProber
    from rbic_hf.probers.local import TransformersProber
    from rbic_hf.probers.server import ServerProber
    from rbic_hf.probers.vllm_process import VllmProber
    from rbic_hf.protocols import Encoder, Prober, Sample
    from rbic_hf.refinery import refine, score
    from rbic_hf.refinery import refine as rbic_refine
    from rbic_hf.reporting import Report, report

__version__ = "0.1.0"

__all__ = [
    "ColumnProber",
    "ConfigError",
    "DataError",
    "Encoder",
    "Explanation",
    "HubError",
    "ModelError",
    "Prober",
    "RbicConfig",
    "RbicError",
    "Report",
    "Sample",
    "ServerProber",
    "TransformersProber",
    "VllmProber",
    "disable_pipe",
    "draw_pictures",
    "enable_pipe",
    "explain",
    "pipe",
    "rbic_refine",
    "refine",
    "report",
    "score",
    "select",
    "transforms",
    "with_likelihoods",
]

# name -> (module, name there); resolved at first use, so that the import stays light
_LAZY = {
    "ColumnProber": ("probers.columns", "ColumnProber"),
    "ConfigError": ("errors", "ConfigError"),
    "DataError": ("errors", "DataError"),
    "Encoder": ("protocols", "Encoder"),
    "Explanation": ("explanation", "Explanation"),
    "HubError": ("errors", "HubError"),
    "ModelError": ("errors", "ModelError"),
    "Prober": ("protocols", "Prober"),
    "RbicConfig": ("config", "RbicConfig"),
    "RbicError": ("errors", "RbicError"),
    "Report": ("reporting", "Report"),
    "Sample": ("protocols", "Sample"),
    "ServerProber": ("probers.server", "ServerProber"),
    "TransformersProber": ("probers.local", "TransformersProber"),
    "VllmProber": ("probers.vllm_process", "VllmProber"),
    "draw_pictures": ("pictures", "draw"),
    "explain": ("explanation", "explain"),
    "rbic_refine": ("refinery", "refine"),
    "refine": ("refinery", "refine"),
    "report": ("reporting", "report"),
    "score": ("refinery", "score"),
    "select": ("picking", "select"),
    "with_likelihoods": ("likelihood_columns", "with_likelihoods"),
}


def __getattr__(name: str) -> Any:
    if name == "transforms":
        return importlib.import_module("rbic_hf.transforms")
    if name not in _LAZY:
        raise AttributeError(f"module 'rbic_hf' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = getattr(importlib.import_module(f"rbic_hf.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


enable_pipe()
