"""What the command line writes: datasets, report, card and `rbic.json` in one folder."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbic_hf.card import dataset_card
from rbic_hf.errors import ConfigError
from rbic_hf.hub_cards import CARD_START
from rbic_hf.picking import select
from rbic_hf.refinery import score_with_provenance
from rbic_hf.reporting import Report, report
from rbic_hf.request import Provenance
from rbic_hf.splits import chosen_part

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")


def refine_to_folder(
    dataset: Any,
    out: Path,
    *,
    ratio: float,
    source: str,
    say: Callable[[str], None],
    unit: Any = "cost",
    method: Any = "rbic",
    split: str | None = None,
    with_embeddings: bool = False,
    **arguments: Any,
) -> tuple[Dataset, str]:
    """Score, select, and write `refined/`, `scored/`, `report.txt`, `README.md` and `rbic.json`.

    Returns the refined dataset and its card.
    """
    check_folder(out)
    part = chosen_part(dataset, split)
    scored, made = score_with_provenance(part, **arguments)
    save(scored, out / "scored")
    made.selection = {"ratio": ratio, "unit": unit, "method": method}
    refined = select(
        scored, ratio, unit=unit, method=method, seed=made.config["seed"],
        with_embeddings=with_embeddings,
    )  # fmt: skip
    save(refined, out / "refined")
    found = report(scored, refined, seed=made.config["seed"])
    card = _write_texts(out, found, made, source=source)
    say(f"\n{found}\n")
    say(f"written to {out}: refined/, scored/, report.txt, README.md (the card), rbic.json")
    return refined, card


def select_to_folder(
    scored: Dataset,
    out: Path,
    *,
    scored_folder: Path,
    ratio: float,
    unit: Any,
    method: Any,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Select and write `refined/` and `report.txt`; the card too where the run is known.

    The run is known from the `rbic.json` beside the scored dataset; without it an earlier card and
    `rbic.json` in `out` are removed, because they would describe other rows.
    """
    check_folder(out)
    refined = select(scored, ratio, unit=unit, method=method, seed=seed)
    save(refined, out / "refined")
    found = report(scored, refined, seed=seed)
    written = "refined/, report.txt"
    described = scored_folder.parent / "rbic.json"
    if described.is_file():
        known = json.loads(described.read_text("utf-8"))
        made = Provenance(**known["made"])
        made.selection = {"ratio": ratio, "unit": unit, "method": method}
        _write_texts(out, found, made, source=known["source"])
        written += ", README.md (the card), rbic.json"
    else:
        for name in ("README.md", "rbic.json"):
            (out / name).unlink(missing_ok=True)
        (out / "report.txt").write_text(f"{found}\n", "utf-8")
    say(f"{found}\n\nwritten to {out}: {written}")


def _write_texts(out: Path, found: Report, made: Provenance, *, source: str) -> str:
    """Write the report, the card and the run's settings and numbers; return the card."""
    card = dataset_card(found, made, source=source)
    (out / "report.txt").write_text(f"{found}\n", "utf-8")
    (out / "README.md").write_text(card, "utf-8")
    described = {"source": source, "made": asdict(made), "report": found.as_dict()}
    (out / "rbic.json").write_text(
        json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8"
    )
    return card


def save(dataset: Dataset, folder: Path) -> None:
    """Save a dataset so that a reader never sees half of one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder.parent))
    old = unfinished.with_name(unfinished.name + "-old")
    unfinished.chmod(0o777 & ~_umask())
    try:
        dataset.save_to_disk(str(unfinished))
        if folder.exists():
            os.replace(folder, old)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def folder_for(out: Path | None, source: str) -> Path:
    """Return the folder for the results, named after their source where none is given.

    Raises:
        ConfigError: something else is there.
    """
    folder = out or Path("rbic-" + re.sub(r"[^\w.-]+", "-", Path(source).stem))
    check_folder(folder)
    return folder


def check_folder(out: Path) -> None:
    """Refuse a path that is a file, or a folder of something else.

    Raises:
        ConfigError: says what is there.
    """
    if out.is_file():
        raise ConfigError(f"{out} is a file; give a folder for the results")
    card = out / "README.md"
    if card.is_file() and CARD_START not in card.read_text("utf-8", "replace"):
        raise ConfigError(f"{card} is not a card of rbic; give an empty folder")
    ours = {"refined", "scored", "report.txt", "README.md", "rbic.json"}
    if out.is_dir() and (
        others := [p.name for p in out.iterdir() if p.name not in ours and p.name[0] != "."]
    ):
        raise ConfigError(
            f"{out} holds other files ({', '.join(sorted(others)[:3])}); give an empty one"
        )


def check_files(*files: Path | None) -> None:
    """Refuse a file that cannot be written, before the dataset is read; None is no file.

    Raises:
        ConfigError: it is a folder, or in a folder that does not exist.
    """
    for path in files:
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ConfigError(f"{path} is not accepted; give a file in a folder that exists")
