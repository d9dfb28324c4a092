"""Results that are paid for once: append-only folders of Parquet parts, keyed by row content.

A key holds what determines a result and nothing else, so rows that were re-ordered, extended or
saved elsewhere find their results again. A part appears by an atomic rename and is never changed:
a killed run loses what it had not yet flushed, and two processes can write at once without locks,
on network folders too (SQLite and LMDB hang or corrupt there).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rbic_hf.errors import ConfigError

logger = logging.getLogger("rbic_hf")

FLUSH_SECONDS = 30.0


def content_key(*parts: str) -> str:
    """Return a hash of texts, 32 hex digits; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def spec_key(spec: Mapping[str, Any]) -> str:
    """Return a hash of JSON-able settings that does not depend on their order."""
    return content_key(json.dumps(spec, sort_keys=True, ensure_ascii=True))


def default_cache_dir() -> Path:
    """Return `$RBIC_CACHE`, or the folder `rbic` beside the Hugging Face caches."""
    if named := os.environ.get("RBIC_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"
    )
    return Path(home).expanduser() / "rbic"


class Store:
    """Rows of results of one stage under one spec, found again by key.

    `folder=None` keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._tables: list[pa.Table] = []
        self._pending: list[pa.Table] = []
        self._last_flush = time.monotonic()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._tables = [t for p in sorted(folder.glob("*.parquet")) if (t := _read(p))]

    @classmethod
    def open(cls, cache_dir: Path | None, stage: str, spec: Mapping[str, Any] | None) -> Store:
        """Open the store of a stage; without a spec or a folder it lives in memory only."""
        if cache_dir is None or spec is None:
            return cls(None)
        folder = cache_dir / stage / spec_key(spec)
        store = cls(folder)
        described = folder / "spec.json"
        if not described.exists():
            described.write_text(json.dumps(spec, sort_keys=True, indent=2) + "\n")
        return store

    def find(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.bool_], pa.Table | None]:
        """Return which keys are known, and the table of those rows in the order of `keys`."""
        tables = self._tables + self._pending
        if not tables or not keys:
            return np.zeros(len(keys), dtype=bool), None
        table = pa.concat_tables(tables)
        places = pc.index_in(pa.array(keys, pa.string()), value_set=table["key"].combine_chunks())
        known = np.asarray(places.is_valid())
        return known, table.take(places.drop_null())

    def add(
        self,
        keys: Sequence[str],
        columns: Mapping[str, pa.Array],
        *,
        lasting: Sequence[bool] | None = None,
    ) -> None:
        """Keep results; they reach the disk at the next flush, at most 30 seconds later.

        Results that are not `lasting`, such as a failure that may not happen again, are known to
        this run alone.

        Raises:
            ConfigError: results of other types are kept under the same spec; adding these would
                make the folder unreadable.
        """
        table = pa.table({"key": pa.array(keys, pa.string()), **columns})
        for other in (self._tables + self._pending)[:1]:
            if table.schema != other.schema:
                raise ConfigError(
                    f"results of type {_types(table)} do not go with those of type {_types(other)} "
                    "that are stored under the same spec; give the engine another spec"
                )
        if lasting is not None and not all(lasting):
            chosen = np.asarray(lasting, dtype=bool)
            self._tables.append(table.filter(pa.array(~chosen)))
            table = table.filter(pa.array(chosen))
        self._pending.append(table)
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one part, or keep it in memory when there is no folder."""
        self._last_flush = time.monotonic()
        if not any(len(table) for table in self._pending):
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending = []
        self._tables.append(table)
        if self.folder is None:
            return
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        unfinished = self.folder / f".{name}.tmp"
        with unfinished.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self.folder / f"{name}.parquet")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def _types(table: pa.Table) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in table.schema)


def _read(path: Path) -> pa.Table | None:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        logger.warning("cannot read %s (%s); its results are computed again", path, error)
        return None
