"""Texts to unit vectors, with a sentence-transformers model or any object with `encode`.

The question is embedded, not the trace: traces embed style and length.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbic_hf.errors import ModelError
from rbic_hf.protocols import Encoder

VERSION = 1

Vectors = npt.NDArray[np.float32]


class SentenceEncoder:
    """A sentence-transformers model in a local folder, loaded at the first text.

    Args:
        folder: where the model lies.
        name: what it is called in cache keys.
        revision: which version of it this is.
        dtype: the torch dtype that it computes in, such as "bfloat16"; None: the model's own.
        runtime: what runs it in place of torch.
        batch_size: texts per forward pass; None: 32 on a CPU, the fastest there, else 64.
    """

    def __init__(
        self,
        folder: str,
        *,
        name: str,
        revision: str,
        dtype: str | None = None,
        runtime: OpenVino | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.spec: Mapping[str, Any] = {"encoder": name, "revision": revision}
        if dtype is not None:
            self.spec = {**self.spec, "precision": dtype}
        if runtime is not None:
            self.spec = {**self.spec, **runtime.spec}
        self._folder = folder
        self._dtype = dtype
        self._runtime = runtime
        self._batch_size = batch_size
        self._model: Any = None
        self._counted: tuple[list[str], list[int]] = [], []

    @property
    def model(self) -> Any:
        """The SentenceTransformer.

        Raises:
            ModelError: the folder holds no such model, or the runtime cannot run it.
        """
        if self._model is None:
            from sentence_transformers import SentenceTransformer

            try:
                model = SentenceTransformer(
                    self._folder,
                    device="cpu" if self._runtime else None,
                    local_files_only=True,
                    model_kwargs={"dtype": self._dtype} if self._dtype else None,
                )
                if self._runtime:
                    self._runtime.take_over(model)
            except Exception as error:
                raise ModelError(
                    f"cannot load the encoder {self.spec['encoder']!r}: {error}"
                ) from error
            self._model = model
        return self._model

    def encode(self, sentences: list[str], /) -> Vectors:
        """Return one vector per text, shape (n, d)."""
        batch_size = self._batch_size or (32 if self.model.device.type == "cpu" else 64)
        if self._window is None or not sentences:
            return self._forward(sentences, batch_size)
        # by tokens: batches sorted by characters, as sentence-transformers does, are 17 % padding
        order = np.argsort([-tokens for tokens in self._num_tokens(sentences)], kind="stable")
        parts = []
        for start in range(0, len(order), batch_size):
            batch = [sentences[i] for i in order[start : start + batch_size].tolist()]
            parts.append(self._forward(batch, batch_size))
        by_length = np.concatenate(parts)
        vectors = np.empty_like(by_length)
        vectors[order] = by_length
        return vectors

    def cut_off(self, sentences: list[str]) -> list[bool]:
        """Return for each text whether it is longer than the model's window."""
        window = self._window
        if window is None:
            return [False] * len(sentences)
        return [tokens > window for tokens in self._num_tokens(sentences)]

    @property
    def _window(self) -> int | None:
        """The most tokens that are read; None: as many as there are, without padding."""
        window = self.model.max_seq_length
        return None if window is None or window == float("inf") else int(window)

    def _forward(self, sentences: list[str], batch_size: int) -> Vectors:
        return np.asarray(
            self.model.encode(sentences, batch_size=batch_size, show_progress_bar=False),
            dtype=np.float32,
        )

    def _num_tokens(self, sentences: list[str]) -> list[int]:
        """Return the tokens of each text; the last texts are not counted again."""
        if self._counted[0] != sentences:
            ids = self.model.tokenizer(sentences, truncation=False, verbose=False)["input_ids"]
            self._counted = sentences, [len(one) for one in ids]
        return self._counted[1]


class OpenVino:
    """Runs the transformer of a model in OpenVINO, on the CPU; the model's own folder suffices.

    Args:
        int8: quantise weights and activations, with ranges from `calibration`; else the precision
            that the CPU computes in, bfloat16 where it can.
        calibration: texts like those that will be embedded; what is chosen enters the spec.
    """

    def __init__(self, *, int8: bool = False, calibration: Sequence[str] = ()) -> None:
        import openvino

        can = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._precision = "bf16" if "BF16" in can else "f32"
        self._calibration = list(calibration) if int8 else []
        self.spec: dict[str, Any] = {"runtime": "openvino", "precision": self._precision}
        if int8:
            texts = hashlib.blake2b("\0".join(self._calibration).encode(), digest_size=8)
            self.spec["precision"] = f"int8, the rest {self._precision}"
            self.spec["calibration"] = texts.hexdigest()

    def take_over(self, model: Any) -> None:
        """Replace the forward pass of a SentenceTransformer's transformer; the rest stays."""
        import openvino
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        transformer = model[0].auto_model
        example = dict(model.tokenizer(["one", "and two"], padding=True, return_tensors="pt"))
        with warnings.catch_warnings():  # OpenVINO traces the model, which torch deprecates
            warnings.simplefilter("ignore")
            converted = openvino.convert_model(transformer, example_input=example)
        names = [port.get_any_name() for port in converted.inputs]
        if self._calibration:
            converted = self._quantised(converted, names, model)
        settings = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(converted, "CPU", settings)

        def forward(**features: Any) -> Any:
            arrays = {name: features[name].numpy() for name in names}
            hidden: Any = torch.from_numpy(compiled(arrays)["last_hidden_state"])
            return BaseModelOutput(last_hidden_state=hidden)

        transformer.forward = forward

    def _quantised(self, converted: Any, names: list[str], model: Any) -> Any:
        import nncf

        def features(texts: list[str]) -> dict[str, Any]:
            found = model.tokenizer(
                texts, padding=True, truncation=True,
                max_length=model.max_seq_length, return_tensors="np",
            )  # fmt: skip
            return {name: found[name] for name in names}

        batches = [self._calibration[i : i + 4] for i in range(0, len(self._calibration), 4)]
        return nncf.quantize(
            converted,
            nncf.Dataset(batches, features),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(batches),
        )


def describe(encoder: Encoder) -> dict[str, Any] | None:
    """Return what names an encoder in a cache key: its `spec`, or its model's name; else None.

    A SentenceTransformer is named by its model, its window and a hash of some of its weights: one
    that was trained further under the same name must not find the vectors of the one before.
    """
    spec = getattr(encoder, "spec", None)
    if isinstance(spec, Mapping):
        return dict(spec)
    try:  # a SentenceTransformer: the name that its transformer was loaded from
        name = encoder[0].auto_model.name_or_path  # type: ignore[index]
    except (TypeError, AttributeError, IndexError, KeyError):
        return None
    if not name:
        return None
    return {
        "encoder": Path(name).name if Path(name).is_dir() else str(name),
        "revision": _weights_hash(encoder),
        "window": getattr(encoder, "max_seq_length", None),
    }


def _weights_hash(encoder: Any) -> str | None:
    """Return a hash of the first numbers of every weight; None where there are no weights."""
    if not callable(getattr(encoder, "state_dict", None)):
        return None
    digest = hashlib.blake2b(digest_size=8)
    for name, weight in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def unit_vectors(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return L2-normalised vectors, shape (n, d); a row of NaN where the encoder gave no number.

    Raises:
        ModelError: the encoder raised, or returned something that is not one vector per text.
    """
    try:
        raw = encoder.encode(list(texts))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the encoder raised {type(error).__name__}: {error}") from error
    try:
        with np.errstate(over="ignore"):  # becomes infinite, so that the row is not usable
            vectors = np.asarray(raw, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the encoder returned no array of numbers: {error}") from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or vectors.shape[1] == 0:
        raise ModelError(
            f"the encoder returned shape {vectors.shape} for {len(texts)} texts; "
            f"one vector per text, shape ({len(texts)}, d), is needed"
        )
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, vectors / np.where(usable, norms, 1), np.nan).astype(np.float32)


def usable(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Return which rows of (n, d) vectors are numbers throughout, (n,)."""
    return np.asarray(np.isfinite(vectors).all(axis=1), dtype=bool)


def cut_off(encoder: Encoder, texts: Sequence[str]) -> list[bool | None]:
    """Return for each text whether the encoder reads only its start; None where it cannot say."""
    ask: Callable[[list[str]], list[bool]] | None = getattr(encoder, "cut_off", None)
    return list(ask(list(texts))) if ask else [None] * len(texts)
