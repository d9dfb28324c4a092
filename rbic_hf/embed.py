"""Texts to unit vectors, with a sentence-transformers model or any object with `encode`.

The question is embedded, not the trace: traces embed style and length.
"""

from __future__ import annotations

import hashlib
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
    """A sentence-transformers model in a local folder, loaded at the first text."""

    def __init__(self, folder: str, *, name: str, revision: str, batch_size: int = 64) -> None:
        self.spec: Mapping[str, Any] = {"encoder": name, "revision": revision}
        self._folder = folder
        self._batch_size = batch_size
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The SentenceTransformer.

        Raises:
            ModelError: the folder holds no such model.
        """
        if self._model is None:
            from sentence_transformers import SentenceTransformer

            try:
                self._model = SentenceTransformer(self._folder, local_files_only=True)
            except Exception as error:
                raise ModelError(
                    f"cannot load the encoder {self.spec['encoder']!r}: {error}"
                ) from error
        return self._model

    def encode(self, sentences: list[str], /) -> Vectors:
        """Return one vector per text, shape (n, d)."""
        return np.asarray(
            self.model.encode(sentences, batch_size=self._batch_size, show_progress_bar=False),
            dtype=np.float32,
        )

    def cut_off(self, sentences: list[str]) -> list[bool]:
        """Return for each text whether it is longer than the model's window."""
        window = self.model.max_seq_length
        tokenizer = self.model.tokenizer
        lengths = tokenizer(sentences, truncation=False, verbose=False)["input_ids"]
        return [window is not None and len(ids) > window for ids in lengths]


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
