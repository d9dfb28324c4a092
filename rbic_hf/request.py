"""What one call of `score` asks for, and how its answer came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rbic_hf import benchmark_questions, engines
from rbic_hf.benchmark_questions import Benchmark, Benchmarks
from rbic_hf.config import RbicConfig
from rbic_hf.errors import ConfigError
from rbic_hf.graders import Grader, GraderFunction, resolve_grader
from rbic_hf.probers.columns import ColumnProber
from rbic_hf.probers.likelihood import LikelihoodScorer
from rbic_hf.protocols import Encoder, Prober
from rbic_hf.store import default_cache_dir

CacheDir = str | Path | Literal[False] | None


@dataclass(frozen=True)
class Request:
    """The checked arguments of `score`; engines are named but not loaded.

    `is_prober_ours`: the prober is made here from a name, and closed after its work.
    """

    config: RbicConfig
    encoder: str | Path | Encoder | None
    prober: str | Path | Prober | ColumnProber | None
    student: str | Path | None
    probe: bool
    columns: Mapping[str, str] | None
    cache_dir: Path | None
    with_generations: bool
    grader: Grader
    is_prober_ours: bool
    benchmarks: tuple[Benchmark, ...] = ()
    proxy: str | Path | LikelihoodScorer | None = None


def check_request(
    *,
    config: RbicConfig | None = None,
    encoder: str | Path | Encoder | None = None,
    prober: str | Path | Prober | ColumnProber | None = None,
    student: str | Path | None = None,
    probe: bool = True,
    columns: Mapping[str, str] | None = None,
    cache_dir: CacheDir = None,
    with_generations: bool = False,
    grader: GraderFunction | Grader | None = None,
    benchmarks: Benchmarks = None,
    proxy: str | Path | LikelihoodScorer | None = None,
) -> Request:
    """Return the request, its benchmarks read.

    Raises:
        ConfigError: a setting of the wrong kind, or an engine or grader that cannot be asked.
        DataError: a benchmark that cannot be read.
    """
    if config is not None and not isinstance(config, RbicConfig):
        raise ConfigError(f"config={config!r} is not accepted; give a RbicConfig")
    if encoder is not None and not isinstance(encoder, str | Path):
        engines.check_encoder(encoder)
    if prober is not None and not isinstance(prober, str | Path | ColumnProber):
        engines.check_prober(prober)
    if prober is not None and not probe:
        raise ConfigError("probe=False runs no prober; leave out prober= or probe=False")
    if proxy is not None and not isinstance(proxy, str | Path | LikelihoodScorer):
        raise ConfigError(f"proxy={proxy!r} is not accepted; give a model id or a folder")
    return Request(
        config=config or RbicConfig(),
        encoder=encoder,
        prober=prober,
        student=student,
        probe=probe,
        columns=columns,
        cache_dir=None if cache_dir is False else Path(cache_dir or default_cache_dir()),
        with_generations=with_generations,
        grader=resolve_grader(grader),
        is_prober_ours=prober is None or isinstance(prober, str | Path),
        benchmarks=benchmark_questions.load(benchmarks),
        proxy=proxy,
    )


@dataclass
class Provenance:
    """How a scored dataset came about; for the card and for `rbic.json`.

    Attributes:
        config: the settings.
        layout: name of the layout that was recognised.
        encoder: spec of the encoder; None when it has none.
        prober: spec of the prober; None when nothing was probed.
        student: spec of the token counter.
        num_probed: distinct questions whose rollouts were asked for.
        kappa: weight of the difficulty prior in rollouts; None when nothing was probed.
        selection: ratio, unit and method; empty for a scored dataset.
        benchmarks: name -> questions of the benchmarks that rows were compared with.
        proxy: spec of the model that read the responses; None when none did.
    """

    config: dict[str, Any]
    layout: str = ""
    encoder: dict[str, Any] | None = None
    prober: dict[str, Any] | None = None
    student: dict[str, Any] = field(default_factory=dict)
    num_probed: int = 0
    kappa: float | None = None
    selection: dict[str, Any] = field(default_factory=dict)
    benchmarks: dict[str, int] = field(default_factory=dict)
    proxy: dict[str, Any] | None = None
