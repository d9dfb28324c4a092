"""The settings of a run: every field here changes the result and enters the cache keys."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rbic_hf.errors import ConfigError

Unit = Literal["cost", "tokens", "rows"]
Method = Literal[
    "rbic", "twin", "random", "random_rows", "longest", "shortest", "contribution", "k_center",
    "centroids", "facility_location", "ifd", "hes", "gain",
]  # fmt: skip
UNITS: tuple[str, ...] = get_args(Unit)
METHODS: tuple[str, ...] = get_args(Method)

# The methods that pick by a column which a model fills by reading the responses.
PROXY_COLUMNS = {"ifd": "rbic_ifd", "hes": "rbic_entropy", "gain": "rbic_answer_gain"}


@dataclass(frozen=True)
class RbicConfig:
    """What a run computes; two runs with equal configs and rows give equal results.

    Above 20,000 distinct questions a GPU compares all pairs and a CPU does not: domains may differ.

    Attributes:
        num_neighbors: neighbours per row in the knowledge-domain graph.
        num_domains: domains to aim for; None: about sqrt(rows) / 2, between 1 and 200.
        duplicate_threshold: cosine from which two questions are near-duplicates, in (0, 1].
        benchmark_ngram: words in a row that a question may not share with one of a benchmark.
        max_per_group: rows that may be kept of one group of near-duplicate questions.
        num_rollouts: generations per probed question.
        probe_fraction: share of the rows to probe, in (0, 1]; None: no limit by share.
        max_probe_rows: most rows to probe; None: 200 on a CPU, all rows on a GPU.
        instruction: what a question is followed by when it is asked; None: to reason step by step
            and put the answer into \\boxed{}, in the row's language.
        temperature: sampling temperature of the rollouts, > 0.
        top_p: nucleus of the rollouts, in (0, 1].
        max_new_tokens: longest rollout; a longer one is unknown, not wrong. None: 256 tokens on a
            CPU, 1024 on a GPU.
        max_length: training length in tokens; a longer row is set aside as "too_long".
        alpha: how a cell's budget follows its mass: 1 like random rows, 0 the same for all cells.
        tilt: length dial: above 0 favours long rows, below 0 short ones (small students: -0.3).
        easy_weight: budget of easy cells relative to medium and hard ones, in [0, 1].
        unsolved_cap: largest share of the budget for questions never solved, in [0, 1], while other
            rows are left.
        contribution_weight: weight of the contribution against coverage when rows of one cell
            compete, >= 0.
        gain_weight: weight in the contribution, beside the depth's 1, of how much a row's reasoning
            helps the proxy with the answer, >= 0; above 0 a model reads every response.
        entropy_weight: weight in the contribution of how uncertain the proxy is where it is the
            most uncertain in the response, >= 0; above 0 a model reads every response.
        seed: the one seed of everything that is drawn.
    """

    num_neighbors: int = 20
    num_domains: int | None = None
    duplicate_threshold: float = 0.95
    benchmark_ngram: int = 13
    max_per_group: int = 1
    num_rollouts: int = 4
    probe_fraction: float | None = None
    max_probe_rows: int | None = None
    instruction: str | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    max_new_tokens: int | None = None
    max_length: int = 16384
    alpha: float = 0.75
    tilt: float = 0.0
    easy_weight: float = 0.6
    unsolved_cap: float = 0.15
    contribution_weight: float = 0.25
    gain_weight: float = 0.0
    entropy_weight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no stage could use.

        Raises:
            ConfigError: names the field, its value and the accepted ones.
        """
        for name in ("num_neighbors", "benchmark_ngram", "max_per_group", "num_rollouts"):
            _whole(name, getattr(self, name), low=1)
        _whole("max_length", self.max_length, low=1)
        check_seed(self.seed)
        for name in ("num_domains", "max_new_tokens"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), low=1)
        if self.max_probe_rows is not None:
            _whole("max_probe_rows", self.max_probe_rows, low=0)
        if self.instruction is not None and not isinstance(self.instruction, str):
            raise ConfigError(f"instruction={self.instruction!r} is not accepted; give a text")
        if self.probe_fraction is not None:
            _number("probe_fraction", self.probe_fraction, above=0, high=1)
        _number("duplicate_threshold", self.duplicate_threshold, above=0, high=1)
        _number("temperature", self.temperature, above=0)
        _number("top_p", self.top_p, above=0, high=1)
        _number("tilt", self.tilt)
        for name in ("alpha", "easy_weight", "unsolved_cap"):
            _number(name, getattr(self, name), low=0, high=1)
        for name in ("contribution_weight", "gain_weight", "entropy_weight"):
            _number(name, getattr(self, name), low=0)

    @property
    def needs_proxy(self) -> bool:
        """Whether the contribution has a term that a model computes."""
        return self.gain_weight > 0 or self.entropy_weight > 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dict."""
        return asdict(self)


def check_ratio(ratio: object) -> float:
    """Return `ratio` as a float in (0, 1].

    Raises:
        ConfigError: it is no number in that range.
    """
    _number("ratio", ratio, above=0, high=1)
    return float(ratio)  # type: ignore[arg-type]


def check_seed(seed: object) -> None:
    """Refuse what is no seed.

    Raises:
        ConfigError: it is no whole number >= 0.
    """
    _whole("seed", seed, low=0, high=2**63 - 1)


def check_choice(name: str, value: object, accepted: tuple[str, ...]) -> None:
    """Refuse a word that is not one of `accepted`.

    Raises:
        ConfigError: names the value and the accepted ones.
    """
    if value not in accepted:
        raise ConfigError(f"{name}={value!r} is not known; accepted: {', '.join(accepted)}")


def _whole(name: str, value: object, *, low: int, high: float = float("inf")) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        wanted = f">= {low}" + (f" and <= {high}" if high < float("inf") else "")
        raise ConfigError(f"{name}={value!r} is not accepted; give a whole number {wanted}")


def _number(
    name: str,
    value: object,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
) -> None:
    bounds = [
        text
        for text, bound in (("> {}", above), (">= {}", low), ("<= {}", high))
        if bound is not None
        for text in (text.format(bound),)
    ]
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
        and (above is None or value > above)
        and (low is None or value >= low)
        and (high is None or value <= high)
    )
    if not fits:
        wanted = "give a number" + (" " + " and ".join(bounds) if bounds else "")
        raise ConfigError(f"{name}={value!r} is not accepted; {wanted}")
