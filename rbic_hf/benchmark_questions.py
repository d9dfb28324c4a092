"""The questions of benchmarks that a dataset must not contain, from wherever they are named."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rbic_hf import formats, layouts, tables
from rbic_hf.errors import ConfigError, DataError
from rbic_hf.values import encodable

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    Source: TypeAlias = str | Path | Dataset | DatasetDict | Sequence[str]
    Benchmarks: TypeAlias = Source | Sequence[Source] | None
else:
    Benchmarks = Any

logger = logging.getLogger("rbic_hf")

_ACCEPTED = (
    "a list of Hub ids, files, folders, datasets, and lists of question texts, such as "
    'benchmarks=["HuggingFaceH4/MATH-500", "test.jsonl", ["What is 2 + 3?"]]'
)


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, or one split of it.

    Attributes:
        name: what it is called in `rbic_contaminated_by` and on the card.
        questions: one per row; "" where a row has none.
    """

    name: str
    questions: tuple[str, ...]

    @property
    def num_questions(self) -> int:
        """The rows that have a question."""
        return sum(map(bool, self.questions))


def load(benchmarks: Benchmarks) -> tuple[Benchmark, ...]:
    """Return the benchmarks, read; of several splits those called test, else validation, else all.

    Raises:
        ConfigError: something that is no benchmark.
        DataError: a benchmark cannot be loaded, or has no column or no row of questions.
    """
    if benchmarks is None:
        return ()
    is_one = isinstance(benchmarks, str | Path) or _is_dataset(benchmarks)
    sources: Any = [benchmarks] if is_one else benchmarks
    if not isinstance(sources, list | tuple):
        raise ConfigError(f"benchmarks={_shown(benchmarks)} is not accepted; give {_ACCEPTED}")
    found: list[Benchmark] = []
    for place, source in enumerate(sources, 1):
        for name, questions in _questions_of(source, place):
            benchmark = Benchmark(_distinct(name, {b.name for b in found}), questions)
            if not benchmark.num_questions:
                raise DataError(f"the benchmark {name} has no row with a question")
            logger.info("benchmark %s: %d questions", benchmark.name, benchmark.num_questions)
            found.append(benchmark)
    return tuple(found)


def _questions_of(source: Any, place: int) -> list[tuple[str, tuple[str, ...]]]:
    if isinstance(source, str | Path):
        return _read(_load(str(source)), _name(str(source)))
    if _is_dataset(source):
        return _read(source, f"dataset-{place}")
    if not isinstance(source, list | tuple) or not all(isinstance(t, str) for t in source):
        raise ConfigError(f"benchmarks=[{_shown(source)}] is not accepted; give {_ACCEPTED}")
    return [(f"questions-{place}", tuple(encodable(text).strip() for text in source))]


def _load(source: str) -> Any:
    from rbic_hf import hub

    try:
        return hub.load_source(source)
    except DataError as error:
        raise DataError(
            f"benchmark: {error} (Question texts go into a list of their own: benchmarks=[[...]].)"
        ) from error


def _read(source: Any, name: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the questions of a dataset, or of those splits of it that are evaluated on."""
    if not isinstance(source, Mapping):
        return [(name, _column(source, name))]
    tests = [split for split in source if split.startswith("test")]
    held_out = tests or [split for split in source if split.startswith(("valid", "dev", "eval"))]
    chosen = held_out or list(source)
    named = {split: name if len(source) == 1 else f"{name}/{split}" for split in chosen}
    return [(named[split], _column(source[split], named[split])) for split in chosen]


def _column(dataset: Any, name: str) -> tuple[str, ...]:
    from datasets import Dataset

    part = dataset if isinstance(dataset, Dataset) else Dataset.from_list(list(dataset))
    rows = list(tables.iterate(part))
    try:
        layout = layouts.question_columns(part.column_names, rows[:50])
    except DataError as error:
        raise DataError(
            f"benchmark {name}: {error}, or give the texts: benchmarks=[[...]]"
        ) from None
    return tuple(formats.read_row(layout, row).question for row in rows)


def _is_dataset(source: Any) -> bool:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    return isinstance(source, Dataset | DatasetDict | IterableDataset | IterableDatasetDict)


def _name(source: str) -> str:
    """Return a Hub id as it is, and of a file or folder its name without the path."""
    path = Path(source).expanduser()
    return path.name.split(".")[0] or path.name if path.exists() else source


def _distinct(name: str, taken: set[str]) -> str:
    options = (name, *(f"{name}-{i}" for i in range(2, len(taken) + 2)))
    return next(option for option in options if option not in taken)


def _shown(value: Any) -> str:
    return repr(value)[:80]
