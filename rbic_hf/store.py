"""Results that are paid for once: append-only folders of Parquet parts, keyed by row content.

A key holds what determines a result and nothing else, so rows that were re-ordered, extended or
saved elsewhere find their results again. A part appears by an atomic rename and is never changed:
a killed run loses what it had not yet flushed, and two processes can write at once without locks,
on network folders too (SQLite and LMDB hang or corrupt there).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
PARTS_TO_MERGE = 128
MERGE_BYTES = 16 << 20  # of a row group, in memory
SMALL_PART_BYTES = 4 << 20
LOOKS = 20


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


@dataclass
class _Part:
    """A file of results, or a table that is in memory alone; the keys are always in memory."""

    keys: pa.ChunkedArray
    path: Path | None = None
    table: pa.Table | None = None

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (row number of the first row, rows), a row group at a time."""
        if self.table is not None:
            yield 0, self.table
            return
        first = 0
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                yield first, table
                first += len(table)


class Store:
    """Rows of results of one stage under one spec, found again by key.

    Only the keys are held in memory; results are read when they are asked for. `folder=None` keeps
    everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._parts: list[_Part] = []
        self._pending: list[pa.Table] = []
        self._own: list[Path] = []  # small parts of this run, to be merged
        self._schema: pa.Schema | None = None
        self._damaged: set[Path] = set()  # parts that turned out to be unreadable
        self._last_flush = time.monotonic()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._look()

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

    def known(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return which keys have results, (n,)."""
        places, _ = self._locate(keys)
        return places >= 0

    def find(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.bool_], pa.Table | None]:
        """Return which keys are known, and the table of those rows in the order of `keys`."""
        found = [(places, table) for places, table in self.scan(keys)]
        known = np.zeros(len(keys), dtype=bool)
        if not found:
            return known, None
        places = np.concatenate([places for places, _ in found])
        known[places] = True
        table = pa.concat_tables([table for _, table in found])
        return known, table.take(pa.array(np.argsort(places, kind="stable")))

    def scan(self, keys: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.int64], pa.Table]]:
        """Yield, piece by piece, (places in `keys`, the table of their results); each place once.

        One row group of one part is in memory at a time.
        """
        rows, parts = self._locate(keys)
        left = np.flatnonzero(rows >= 0)
        while len(left):
            starts = np.cumsum([0, *(len(part.keys) for part in parts)])
            number = int(np.searchsorted(starts, rows[left[0]], side="right")) - 1
            try:
                for offset, table in parts[number].tables():
                    place = rows[left] - starts[number] - offset
                    inside = (place >= 0) & (place < len(table))
                    if inside.any():
                        yield left[inside], table.take(pa.array(place[inside]))
                        left = left[~inside]
            except (OSError, pa.ArrowInvalid) as error:
                self._look_again(parts[number], error)
                rows[left], parts = self._locate([keys[i] for i in left.tolist()])
                left = left[rows[left] >= 0]

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
        self._check_types(table)
        if lasting is not None and not all(lasting):
            chosen = np.asarray(lasting, dtype=bool)
            passing = table.filter(pa.array(~chosen))
            self._parts.append(_Part(passing["key"], table=passing))
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
        if self.folder is None:
            self._parts.append(_Part(table["key"], table=table))
            return
        path = _write(self.folder, [table])
        self._parts.append(_Part(table["key"], path))
        self._own.append(path)
        if len(self._own) >= PARTS_TO_MERGE:
            self._merge_own()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._merge_own()

    def _locate(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[_Part]]:
        """Return where each key is in the rows of all parts one after the other, and the parts.

        -1: unknown. Of several results for one key the first is taken.
        """
        waiting = [_Part(table["key"], table=table) for table in self._pending]
        parts = [part for part in self._parts + waiting if len(part.keys)]
        if not parts or not len(keys):
            return np.full(len(keys), -1, np.int64), parts
        chunks = [chunk for part in parts for chunk in part.keys.chunks]
        # one array: index_in numbers the rows of a chunked value set chunk by chunk
        found = pc.index_in(pa.array(keys, pa.string()), value_set=pa.concat_arrays(chunks))
        return np.asarray(found.fill_null(-1), np.int64), parts

    def _look_again(self, part: _Part, error: Exception) -> None:
        """Look for what replaced a part that another process merged, or set a damaged one aside."""
        assert self.folder is not None and part.path is not None
        if part.path.exists():
            _set_aside(part.path, error)
            self._damaged.add(part.path)  # where it could not be renamed, it is not tried again
        self._look()

    @property
    def num_damaged(self) -> int:
        """Parts that turned out to be unreadable while they were read."""
        return len(self._damaged)

    def _look(self) -> None:
        """Take the parts that are in the folder now."""
        assert self.folder is not None
        in_memory = [part for part in self._parts if part.path is None]
        parts, schemas = _parts_of(self.folder)
        self._parts = [part for part in parts if part.path not in self._damaged] + in_memory
        if schemas:  # the folder's, also when other processes take its parts away
            self._schema = schemas[0]

    def _merge_own(self) -> None:
        """Make one part of the many small ones that this run wrote.

        They are removed after the new one is there. Another process that knows them by name looks
        again when they are gone; a kill in between leaves results twice, of which one is used.
        """
        self._own = [path for path in self._own if path.exists()]
        if len(self._own) < 2 or self.folder is None:
            return
        paths, self._own = self._own, []
        num_bytes = 0

        def tables() -> Iterator[pa.Table]:
            nonlocal num_bytes
            for path in paths:
                table = pq.read_table(path)
                num_bytes += table.nbytes
                yield table

        merged = _write(self.folder, _joined(tables()))
        part = _Part(pq.read_table(merged, columns=["key"])["key"], merged)
        self._parts = [p for p in self._parts if p.path not in set(paths)] + [part]
        for path in paths:
            path.unlink(missing_ok=True)
        if num_bytes < SMALL_PART_BYTES:  # it is merged again with those to come
            self._own.append(merged)

    def _check_types(self, table: pa.Table) -> None:
        self._schema = self._schema or table.schema
        if table.schema != self._schema:
            raise ConfigError(
                f"results of type {_types(table.schema)} do not go with those of type "
                f"{_types(self._schema)} that are stored under the same spec; give the engine "
                "another spec"
            )


def _parts_of(folder: Path) -> tuple[list[_Part], list[pa.Schema]]:
    """Return the folder's parts, oldest first, and their schemas."""
    for _ in range(LOOKS):
        try:
            return _read_keys(sorted(folder.glob("*.parquet")))
        except FileNotFoundError:  # another process merged it just now: look at what it made
            continue
    raise ConfigError(f"{folder} changes too fast to be read; run again")


def _read_keys(paths: list[Path]) -> tuple[list[_Part], list[pa.Schema]]:
    parts, schemas = [], []
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                parts.append(_Part(file.read(columns=["key"])["key"], path))
                schemas.append(file.schema_arrow)
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            _set_aside(path, error)
    return parts, schemas


def _set_aside(path: Path, error: Exception) -> None:
    """Keep a damaged part under another name, so that its results are computed again.

    Raises:
        OSError: the disk or the network failed, which says nothing about the part.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    logger.warning("cannot read %s (%s); its results are computed again", path, error)
    with contextlib.suppress(OSError):  # not ours to rename, or gone by now
        os.replace(path, path.with_suffix(".damaged"))


def _write(folder: Path, tables: Iterable[pa.Table]) -> Path:
    """Write one part; it is there as a whole or not at all."""
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    unfinished = folder / f".{name}.tmp"
    with unfinished.open("wb") as file:
        writer: pq.ParquetWriter | None = None
        for table in tables:
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
        file.flush()
        with contextlib.suppress(OSError):  # some mounted folders know no fsync
            os.fsync(file.fileno())
    path = folder / f"{name}.parquet"
    os.replace(unfinished, path)
    return path


def _joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield fewer and larger tables: a file of tiny row groups is slow to read."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.nbytes for each in waiting) > MERGE_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
