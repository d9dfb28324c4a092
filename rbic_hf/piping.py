"""`ds.pipe(fn, ...)` for the four dataset classes, with the meaning it has in pandas.

No version of datasets has `pipe`, nor a plug-in mechanism: importing rbic_hf adds it where it is
missing, without importing datasets when nobody else has.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

CLASSES = ("Dataset", "DatasetDict", "IterableDataset", "IterableDatasetDict")


def pipe(
    dataset: Any,
    fn: Callable[..., Any] | tuple[Callable[..., Any], str],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Return `fn(dataset, *args, **kwargs)`.

    `fn` may be a pair `(callable, "keyword")`: the dataset is then passed as that keyword.

    Raises:
        ValueError: the keyword of the pair is also among `kwargs`.
        TypeError: `fn` cannot be called.
    """
    if isinstance(fn, tuple):
        function, keyword = fn
        if keyword in kwargs:
            raise ValueError(f"{keyword!r} is both the pipe target and a keyword argument")
        return function(*args, **{keyword: dataset}, **kwargs)
    if not callable(fn):
        raise TypeError(f"pipe needs a callable or (callable, keyword), not {type(fn).__name__}")
    return fn(dataset, *args, **kwargs)


def enable_pipe() -> None:
    """Add `pipe` to the dataset classes that have none; now, or when datasets is imported."""
    datasets = sys.modules.get("datasets")
    if datasets is not None and all(hasattr(datasets, name) for name in CLASSES):
        for name in CLASSES:
            if not hasattr(getattr(datasets, name), "pipe"):
                getattr(datasets, name).pipe = pipe
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def disable_pipe() -> None:
    """Take back what `enable_pipe` added; a `pipe` of datasets' own stays."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _AfterImport)]
    datasets = sys.modules.get("datasets")
    for name in CLASSES:
        cls = getattr(datasets, name, None)
        if cls is not None and cls.__dict__.get("pipe") is pipe:
            del cls.pipe


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls `enable_pipe` once datasets has been imported by somebody, and then goes away."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "datasets":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            disable_pipe()  # this finder has done its work
            enable_pipe()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
