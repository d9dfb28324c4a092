"""The whole road, and the only module that knows its order:
rows -> formats -> decontamination -> embed -> graph -> probe -> grade -> difficulty -> steps ->
contribution -> selection. Stages map arrays to arrays; here they are joined and become columns.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rbic_hf import (
    contribution,
    difficulty,
    engines,
    picking,
    selection,
    splits,
    steps,
    tables,
)
from rbic_hf.answers import check_answers
from rbic_hf.benchmark_questions import Benchmarks
from rbic_hf.complexity import as_columns, complexities
from rbic_hf.config import (
    METHODS,
    PROXY_COLUMNS,
    UNITS,
    Method,
    RbicConfig,
    Unit,
    check_choice,
    check_ratio,
)
from rbic_hf.domains import Domains, knowledge_domains
from rbic_hf.errors import ConfigError
from rbic_hf.graders import Grader, GraderFunction
from rbic_hf.leakage import without_copies, without_near_copies
from rbic_hf.likelihood_columns import columns_of, read_responses
from rbic_hf.pool import Pool, embed_pool, read_pool
from rbic_hf.probers.columns import ColumnProber
from rbic_hf.probers.likelihood import Likelihoods, LikelihoodScorer
from rbic_hf.probing import Rollouts, probe_pool
from rbic_hf.protocols import Encoder, Prober
from rbic_hf.request import CacheDir, Provenance, Request, check_request
from rbic_hf.splits import AnyDataset, Split

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")


def refine(
    dataset: AnyDataset,
    ratio: float = 0.16,
    *,
    unit: Unit = "cost",
    method: Method = "rbic",
    config: RbicConfig | None = None,
    encoder: str | Path | Encoder | None = None,
    prober: str | Path | Prober | ColumnProber | None = None,
    student: str | Path | None = None,
    probe: bool = True,
    columns: Mapping[str, str] | None = None,
    split: Split = None,
    cache_dir: CacheDir = None,
    with_embeddings: bool = False,
    with_generations: bool = False,
    grader: GraderFunction | Grader | None = None,
    benchmarks: Benchmarks = None,
    push_to: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    proxy: str | Path | LikelihoodScorer | None = None,
) -> Any:
    """Return the part of a reasoning dataset that teaches the most for `ratio` of its cost.

    `refine(ds, ratio)` is `select(score(ds), ratio)`. Rows come back in their original order with
    their own columns as they were, and the small rbic columns.

    Args:
        dataset: Dataset; DatasetDict (`train`, or the splits named, is refined and the others are
            handed on); IterableDataset (read into memory).
        ratio: share of the pool's `unit` to keep, in (0, 1].
        unit: "cost" (training cost), "tokens" or "rows".
        method: "rbic", or what to hold it against; see `select`.
        config: settings of the stages.
        encoder: model id, folder, or object with `encode`; None: a multilingual MiniLM.
        prober: who is asked: model id, folder, "vllm:" and either, the address of a server,
            "auto", a `ColumnProber`, or an object with `spec` and `probe`; None: the columns of an
            earlier run if there are any, else "auto".
        student: model id or folder whose tokenizer and size measure cost; None: an estimate.
        probe: False: no rollouts; pass rates and tiers stay null.
        columns: role -> column where the layout is not recognised, such as
            `{"question": "q", "response": "r", "answer": "a"}`.
        split: the split or splits of a DatasetDict to refine.
        cache_dir: where vectors and rollouts are kept; None: beside the Hugging Face caches;
            False: nowhere.
        with_embeddings: keep `rbic_embedding`.
        with_generations: keep `rbic_generations`.
        grader: `(reference, answer) -> True, False or None`, run in killable processes; None:
            math-verify and the project's own rules.
        benchmarks: Hub ids, files, folders, datasets and lists of question texts; rows whose
            question shares `benchmark_ngram` words in a row with one of theirs (in Chinese 1.6
            times as many characters), or is nearly the same by embedding, are set aside as
            "contaminated", and `rbic_contaminated_by` says by what.
        push_to: repository to push the result to, with a card.
        private: whether that repository is private, if it is new.
        token: Hub token; None: the one that is logged in.
        proxy: model id or folder that reads the responses, for the columns `rbic_answer_gain`,
            `rbic_entropy` and `rbic_ifd`; they weigh in the contribution by the config's
            `gain_weight` and `entropy_weight`. None: nobody, unless a weight is above 0; then the
            small model that is asked on a CPU.

    Raises:
        ConfigError: an argument or setting that is not accepted.
        DataError: no rows, no known layout, no clean row, a benchmark that cannot be read.
        ModelError: an engine that is missing, raised, or returned something of the wrong shape.

    Example:
        >>> from datasets import load_dataset
        >>> from rbic_hf import rbic_refine
        >>> ds = load_dataset("openai/gsm8k", "main", split="train")  # doctest: +SKIP
        >>> ds  # doctest: +SKIP
        Dataset({features: ['question', 'answer'], num_rows: 7473})
        >>> small = ds.pipe(rbic_refine, ratio=0.16)  # doctest: +SKIP
        >>> small.column_names[:5]  # doctest: +SKIP
        ['question', 'answer', 'rbic_status', 'rbic_rank', 'rbic_key']
    """
    check_ratio(ratio)
    check_choice("unit", unit, UNITS)
    check_choice("method", method, METHODS)
    if method in PROXY_COLUMNS and proxy is None and not (config and config.needs_proxy):
        raise ConfigError(
            f"method={method!r} needs a model that reads the responses: name it as proxy=, or "
            f"select(with_likelihoods(score(...)), method={method!r})"
        )
    if push_to is not None and split is not None and not isinstance(split, str):
        raise ConfigError("push_to= takes one split; refine and push the others one by one")
    scored, made = score_with_provenance(
        dataset,
        config=config,
        encoder=encoder,
        prober=prober,
        student=student,
        probe=probe,
        columns=columns,
        split=split,
        cache_dir=cache_dir,
        with_generations=with_generations,
        grader=grader,
        benchmarks=benchmarks,
        proxy=proxy,
    )
    made.selection = {"ratio": float(ratio), "unit": unit, "method": method}
    refined = picking.select(
        scored,
        ratio,
        unit=unit,
        method=method,
        split=split,
        seed=made.config["seed"],
        with_embeddings=with_embeddings,
        with_generations=with_generations,
    )
    if push_to is not None:
        from rbic_hf import hub
        from rbic_hf.card import dataset_card
        from rbic_hf.reporting import report

        text = dataset_card(
            report(scored, refined, split=split, seed=made.config["seed"]), made, repo_id=push_to
        )
        hub.push(refined, push_to, card_text=text, private=private, token=token)
    return refined


def score(
    dataset: AnyDataset,
    *,
    config: RbicConfig | None = None,
    encoder: str | Path | Encoder | None = None,
    prober: str | Path | Prober | ColumnProber | None = None,
    student: str | Path | None = None,
    probe: bool = True,
    columns: Mapping[str, str] | None = None,
    split: Split = None,
    cache_dir: CacheDir = None,
    with_generations: bool = False,
    grader: GraderFunction | Grader | None = None,
    benchmarks: Benchmarks = None,
    proxy: str | Path | LikelihoodScorer | None = None,
) -> Any:
    """Return every row with the rbic columns; `select` then takes any ratio without a model.

    Arguments and errors are those of `refine`.
    """
    scored, _ = score_with_provenance(
        dataset,
        config=config,
        encoder=encoder,
        prober=prober,
        student=student,
        probe=probe,
        columns=columns,
        split=split,
        cache_dir=cache_dir,
        with_generations=with_generations,
        grader=grader,
        benchmarks=benchmarks,
        proxy=proxy,
    )
    return scored


def score_with_provenance(
    dataset: AnyDataset, *, split: Split = None, **arguments: Any
) -> tuple[Any, Provenance]:
    """Return what `score` returns, and how it came about (of the last split, if several)."""
    request = check_request(**arguments)
    made = Provenance(
        config=request.config.as_dict(),
        benchmarks={b.name: b.num_questions for b in request.benchmarks},
    )

    def one(rows: Dataset) -> Dataset:
        return _score(rows, request, made)

    return splits.apply(dataset, one, split), made


def _score(dataset: Dataset, request: Request, made: Provenance) -> Dataset:
    config = request.config
    request = _with_named_engines(dataset, request)
    pool, columns = read_pool(dataset, request, made)
    pool = without_copies(pool, columns, request)
    pool, vectors, cut, benchmarks = embed_pool(dataset, pool, columns, request, made)
    pool, vectors, cut = without_near_copies(pool, vectors, cut, benchmarks, columns, request)
    where = knowledge_domains(vectors, pool.questions, config)
    rollouts = probe_pool(dataset, pool, columns, where.domain, where.group, request, made)
    gradient = _estimate(rollouts, pool, where, config, made)
    complexity = complexities(pool.readings)
    answers = check_answers(pool, request)
    likelihoods = _read_by_proxy(pool, request, made)
    terms = _terms(complexity, gradient, pool, likelihoods, config)
    teaches = contribution.weighted(
        terms.percentile,
        np.array([c.confidence for c in complexity]),
        np.array([contribution.ANSWER_WEIGHTS[a] for a in answers]),
    )
    order = _pick_order(teaches, gradient, pool, where, config)

    columns["rbic_rank"] = tables.spread(np.arange(len(order)), pool.places[order], pool.num_rows)
    columns["rbic_embedding"] = tables.spread_vectors(vectors, pool.places, pool.num_rows)
    columns["rbic_embedding_cut"] = pool.spread(cut)
    columns["rbic_domain"] = pool.spread(where.domain)
    columns["rbic_domain_label"] = pool.spread([where.labels[d] for d in where.domain])
    columns["rbic_core"] = pool.spread(where.core)
    columns["rbic_duplicate_group"] = _with_copies(where.group, pool, columns)
    columns.update(_difficulty_columns(gradient, rollouts, pool, request))
    of_clean = as_columns(complexity) | {
        f"rbic_{field.name}": getattr(terms, field.name) for field in fields(terms)
    }
    columns.update({name: pool.spread(values) for name, values in of_clean.items()})
    columns["rbic_answer"] = pool.spread(answers)
    columns["rbic_contribution"] = pool.spread(teaches)
    for name, values in ({} if likelihoods is None else columns_of(likelihoods)).items():
        columns[name] = pool.spread(pa.array(values, from_pandas=True).to_pylist())
    return tables.with_columns(dataset, columns)


def _with_named_engines(dataset: Dataset, request: Request) -> Request:
    """Find what is named before hours are spent on what comes first."""
    encoder, prober, proxy = request.encoder, request.prober, request.proxy
    if isinstance(encoder, str | Path):
        encoder = engines.resolve_encoder(encoder)
    if isinstance(prober, str | Path) and prober != "auto":
        prober = engines.resolve_prober(prober, request.config)
    if isinstance(prober, ColumnProber):
        prober.check(dataset.column_names)
    if proxy is not None or request.config.needs_proxy:
        proxy = engines.resolve_proxy(proxy)
    return replace(request, encoder=encoder, prober=prober, proxy=proxy)


def _estimate(
    rollouts: Rollouts | None, pool: Pool, where: Domains, config: RbicConfig, made: Provenance
) -> difficulty.Difficulty | None:
    if rollouts is None or not rollouts.num_graded.any():
        return None
    found = difficulty.estimate(
        rollouts.num_correct,
        rollouts.num_graded,
        where.graph,
        pool.num_tokens,
        [where.domain, _codes([reading.language for reading in pool.readings])],
        question=where.question,
        group=where.group,
        seed=config.seed,
    )
    made.kappa = found.kappa
    return found


def _read_by_proxy(pool: Pool, request: Request, made: Provenance) -> Likelihoods | None:
    if not isinstance(request.proxy, LikelihoodScorer):
        return None
    made.proxy = dict(request.proxy.spec)
    return read_responses(pool.readings, request.proxy, request.cache_dir)


def _terms(
    complexity: list[steps.Complexity],
    gradient: difficulty.Difficulty | None,
    pool: Pool,
    read: Likelihoods | None,
    config: RbicConfig,
) -> contribution.Terms:
    kinds = [f"{r.language} {c.symbolic}" for r, c in zip(pool.readings, complexity, strict=True)]
    family = _codes(kinds)
    further = (
        []
        if read is None
        else [(config.gain_weight, read.answer_gain), (config.entropy_weight, read.entropy)]
    )
    return contribution.terms(
        depth=np.array([c.depth for c in complexity], float),
        branch_density=np.array([c.branch_density for c in complexity]),
        loop_share=np.array([c.loop_share for c in complexity]),
        num_tokens=pool.num_tokens,
        tier=np.zeros(len(kinds), np.int32) if gradient is None else gradient.tier,
        family=family,
        extra=contribution.further_terms(further, pool.num_tokens, family) if further else None,
    )


def _pick_order(
    teaches: npt.NDArray[np.float64],
    gradient: difficulty.Difficulty | None,
    pool: Pool,
    where: Domains,
    config: RbicConfig,
) -> npt.NDArray[np.int64]:
    # in the order of their contents, so that shuffled rows break ties alike
    by_content = np.argsort(pool.keys, kind="stable")
    n = len(teaches)
    unsolved = difficulty.TIERS.index("unsolved")
    candidates = selection.Candidates(
        cost=pool.cost[by_content],
        num_tokens=pool.num_tokens[by_content],
        domain=where.domain[by_content],
        tier=np.zeros(n, np.int32) if gradient is None else gradient.tier[by_content],
        tier_mass=np.ones((n, 1)) if gradient is None else gradient.tier_mass[by_content],
        contribution=teaches[by_content],
        group=where.group[by_content],
        question=where.question[by_content],
    )
    budgets = selection.Budgets(
        alpha=config.alpha,
        tilt=config.tilt,
        tier_weight=(1.0,) if gradient is None else (config.easy_weight, 1.0, 1.0, 1.0),
        capped_tier=None if gradient is None else unsolved,
        cap=config.unsolved_cap,
        contribution_weight=config.contribution_weight,
        max_per_group=config.max_per_group,
    )
    return by_content[selection.pick_order(candidates, where.graph, budgets)]


def _difficulty_columns(
    gradient: difficulty.Difficulty | None, rollouts: Rollouts | None, pool: Pool, request: Request
) -> dict[str, Any]:
    nothing = [None] * pool.num_rows
    columns: dict[str, Any] = dict.fromkeys(
        (
            "rbic_rollouts", "rbic_correct", "rbic_unknown",
            "rbic_probe", "rbic_prior", "rbic_pass_rate", "rbic_pass_rate_std", "rbic_tier",
        ),
        nothing,
    )  # fmt: skip
    if rollouts is not None:
        columns["rbic_rollouts"] = pool.spread(rollouts.num_graded)
        columns["rbic_correct"] = pool.spread(rollouts.num_correct)
        columns["rbic_unknown"] = pool.spread(rollouts.num_unknown)
        columns["rbic_probe"] = pool.spread(rollouts.outcome)
    if gradient is not None:
        columns["rbic_prior"] = pool.spread(gradient.prior)
        columns["rbic_pass_rate"] = pool.spread(gradient.pass_rate)
        columns["rbic_pass_rate_std"] = pool.spread(gradient.std)
        columns["rbic_tier"] = pool.spread([difficulty.TIERS[tier] for tier in gradient.tier])
    if request.with_generations:
        texts = nothing if rollouts is None else pool.spread(rollouts.texts)
        columns["rbic_generations"] = texts
    return columns


def _with_copies(
    group: npt.NDArray[np.int32], pool: Pool, columns: dict[str, Any]
) -> list[int | None]:
    """Return the group of every row, exact copies that were set aside included."""
    of_key = dict(zip(pool.keys, group.tolist(), strict=True))
    spread = pool.spread(group)
    for i, status in enumerate(columns["rbic_status"]):
        if status == "duplicate":
            spread[i] = of_key.get(columns["rbic_key"][i])
    return spread


def _codes(words: list[str]) -> npt.NDArray[np.int32]:
    return np.unique(words, return_inverse=True)[1].astype(np.int32)
