"""A name for what a model folder holds: models that were trained further are other models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path


def folder_revision(folder: str | Path) -> str:
    """Return "local-" and 16 hex digits from a folder's contents; "" where there is no folder."""
    root = Path(folder)
    if not root.is_dir():
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            for block in _sampled_blocks(path):
                digest.update(block)
    return f"local-{digest.hexdigest()}"


def _sampled_blocks(path: Path, block: int = 1 << 16, count: int = 64) -> Iterator[bytes]:
    """Yield a whole file up to 4 MiB, else 64 even samples.

    A retrained weight file keeps its size and its header: those alone would name the old model.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for i in range(count):
            if size > block * count:
                file.seek((size - block) * i // (count - 1))
            yield file.read(block)
