"""What a refinement kept and dropped, in numbers; the text of it is what the terminal shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rbic_hf import difficulty, picking, splits, tables
from rbic_hf.agreement import domain_agreement
from rbic_hf.columns import TIERS
from rbic_hf.faults import Fault, count_faults
from rbic_hf.splits import AnyDataset, Split

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_FOR_COVERAGE = 5000  # coverage is a mean; this many rows give it to three digits
DOMAINS_SHOWN = 12

# Normalised mutual information. The pools of the mixed pool, in part subjects, reach .34 with 63
# domains (benchmarks/domains.py); one domain per source is 1.
TOO_MUCH_AGREEMENT = 0.7

CALIBRATION_NOTE = (
    "lower Brier and MAE are better; compare by Brier: so few rollouts do not show a row's tier"
)
ROWS_TO_CALIBRATE = 20

CALIBRATED = {
    "predicted": "predicted, not asked",
    "share": "share of half the rollouts",
    "estimate": "estimate from that half",
}


@dataclass(frozen=True)
class Share:
    """An amount before and after, over clean rows."""

    pool: float
    kept: float

    @property
    def ratio(self) -> float:
        """Kept over pool, in [0, 1]; 0 for an empty pool."""
        return self.kept / self.pool if self.pool else 0.0


@dataclass(frozen=True)
class Comparison:
    """Means over the pool, the kept rows and the random twin; None where they are not known."""

    pool: float | None
    kept: float | None
    twin: float | None


@dataclass(frozen=True)
class Report:
    """The numbers of one refinement.

    Attributes:
        num_rows: rows of the scored dataset, clean or not.
        set_aside: reason -> rows.
        hygiene: reason -> how often before and among the kept rows; see `faults.count_faults`.
        rows: clean rows before and after.
        tokens: their tokens.
        cost: their training cost.
        tiers: tier -> share of the cost; empty when nothing was probed.
        domains: label -> share of the cost, largest first.
        num_measured: clean rows whose pass rate was measured, before and after.
        num_given: of these, the clean rows whose rollouts are columns of the dataset.
        num_unknown_rollouts: rollouts that nobody could grade.
        num_rollouts: rollouts that were graded.
        num_correct: of these, the right ones.
        calibration: "predicted", "share", "estimate" -> how well they predict rollouts that were
            held aside; empty when fewer than 20 rows have two graded rollouts.
        contribution: mean contribution; higher teaches more.
        depth: mean depth of the reasoning.
        coverage: mean cosine of a pool row to its nearest kept row, by embedding.
        twin_overlap: share of the kept rows that are also in the random twin.
        agreement: "length decile", and the name of a column of sources where there is one -> how
            far the domains agree with it, as normalised mutual information in [0, 1]; higher:
            the domains say less of the subject. Over clean rows.
        cut_share: share of the clean questions that the encoder reads only the start of.
    """

    num_rows: int
    set_aside: dict[str, int]
    hygiene: dict[str, Fault]
    rows: Share
    tokens: Share
    cost: Share
    tiers: dict[str, Share]
    domains: dict[str, Share]
    num_measured: Share
    num_given: int
    num_unknown_rollouts: int
    num_rollouts: int
    num_correct: int
    calibration: dict[str, difficulty.Calibration]
    contribution: Comparison
    depth: Comparison
    coverage: Comparison
    twin_overlap: float
    agreement: dict[str, float]
    cut_share: float | None

    def amounts(self) -> list[tuple[str, Share]]:
        """Return rows, tokens and cost: all three shares are always shown."""
        return [("rows", self.rows), ("tokens", self.tokens), ("cost", self.cost)]

    def difficulty_note(self) -> str:
        """Return why there are no tiers; "" when there are."""
        if self.tiers:
            return ""
        if self.num_unknown_rollouts:
            return (
                f"{self.num_unknown_rollouts:,} rollouts, none of them gradable (cut off at "
                "max_new_tokens, or the grader failed); no tiers were used"
            )
        return "not measured (no rollouts); no tiers were used"

    def measured_note(self) -> str:
        """Return where the pass rates come from."""
        where = "rollouts by columns of the dataset" if self.num_given else "rollouts graded"
        unknown = f", {self.num_unknown_rollouts:,} unknown" if self.num_unknown_rollouts else ""
        rest = "; predicted for the rest" if self.num_measured.pool < self.rows.pool else ""
        return (
            f"{self.num_rollouts:,} {where} ({self.num_correct:,} right){unknown}; "
            f"known for {int(self.num_measured.pool):,} rows "
            f"({int(self.num_measured.kept):,} kept){rest}"
        )

    def agreement_warnings(self) -> list[str]:
        """Return what to know where the domains are sources or lengths rather than subjects."""
        return [
            f"warning: the domains are little more than the {name} (agreement {value:.2f}): "
            "balancing them balances that, not the subjects"
            for name, value in self.agreement.items()
            if value >= TOO_MUCH_AGREEMENT
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as a JSON-able dict."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the text for the terminal."""
        return "\n".join(_lines(self))


def report(
    scored: AnyDataset, refined: AnyDataset, *, split: Split = None, seed: int = 0
) -> Report:
    """Return what `refined` keeps of `scored`, beside its random twin.

    Args:
        scored: what `score` returned.
        refined: what `select` or `refine` made of it.
        split: the split that is meant, in a DatasetDict.
        seed: draws the twin.

    Raises:
        DataError: a dataset without rbic columns, or two that do not belong together.
    """
    whole, part = splits.chosen_part(scored, split), splits.chosen_part(refined, split)
    clean = picking.clean_rows(whole)
    kept = picking.kept_of(whole, part)
    twin = picking.twin_of(whole, kept, "cost", seed=seed)
    cost = picking.kept_amounts(whole, "cost")
    status = tables.values_of(whole, "rbic_status")
    rollouts = tables.numbers_or_nan(whole, "rbic_rollouts")
    cut = [c for c in _optional(whole, "rbic_embedding_cut") if c is not None]
    return Report(
        num_rows=whole.num_rows,
        set_aside=dict(
            Counter(status[i] for i in np.setdiff1d(np.arange(len(status)), clean)).most_common()
        ),
        hygiene=count_faults(whole, clean, kept),
        rows=Share(len(clean), len(kept)),
        tokens=_amount(picking.kept_amounts(whole, "tokens"), clean, kept),
        cost=_amount(cost, clean, kept),
        tiers=_by(tables.values_of(whole, "rbic_tier"), cost, clean, kept, TIERS),
        domains=_by(tables.values_of(whole, "rbic_domain_label"), cost, clean, kept, None),
        num_measured=_amount((np.nan_to_num(rollouts) > 0).astype(float), clean, kept),
        num_given=int(_is_given(whole)[clean].sum()),
        num_unknown_rollouts=int(np.nansum(tables.numbers_or_nan(whole, "rbic_unknown"))),
        num_rollouts=int(np.nansum(rollouts)),
        num_correct=int(np.nansum(tables.numbers_or_nan(whole, "rbic_correct"))),
        calibration=_calibration(whole, clean, seed),
        contribution=_means(tables.numbers_or_nan(whole, "rbic_contribution"), clean, kept, twin),
        depth=_means(tables.numbers_or_nan(whole, "rbic_depth"), clean, kept, twin),
        coverage=_coverage(whole, clean, kept, twin, seed),
        twin_overlap=len(np.intersect1d(kept, twin)) / max(len(kept), 1),
        agreement=domain_agreement(whole, clean),
        cut_share=sum(cut) / len(cut) if cut else None,
    )


def _optional(dataset: Dataset, column: str) -> list[Any]:
    present = column in dataset.column_names
    return tables.values_of(dataset, column) if present else [None] * dataset.num_rows


def _amount(
    amounts: npt.NDArray[np.float64], clean: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]
) -> Share:
    return Share(float(amounts[clean].sum()), float(amounts[kept].sum()))


def _by(
    words: list[str | None],
    cost: npt.NDArray[np.float64],
    clean: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    order: tuple[str, ...] | None,
) -> dict[str, Share]:
    """Return each word's share of the cost of pool and kept rows, in percent of each."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for rows, counter in ((clean, before), (kept, after)):
        for i in rows.tolist():
            if (word := words[i]) is not None:
                counter[word] += cost[i]
    total_before, total_after = sum(before.values()) or 1, sum(after.values()) or 1
    names = [word for word, _ in before.most_common()]
    if order is not None:
        names = [word for word in order if word in before]
    return {
        name: Share(float(before[name] / total_before), float(after[name] / total_after))
        for name in names
    }


def _means(values: npt.NDArray[np.float64], *groups: npt.NDArray[np.int64]) -> Comparison:
    return Comparison(
        *(float(np.nanmean(values[g])) if np.isfinite(values[g]).any() else None for g in groups)
    )


def _coverage(
    whole: Dataset,
    clean: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    twin: npt.NDArray[np.int64],
    seed: int,
) -> Comparison:
    if "rbic_embedding" not in whole.column_names or len(kept) == 0 or len(twin) == 0:
        return Comparison(None, None, None)
    vectors = tables.vectors_of(whole, "rbic_embedding")
    rng = np.random.default_rng(seed)
    sample = (
        clean if len(clean) <= ROWS_FOR_COVERAGE else rng.choice(clean, ROWS_FOR_COVERAGE, False)
    )

    def nearest(rows: npt.NDArray[np.int64]) -> float:
        best = [
            (vectors[sample[i : i + 512]] @ vectors[rows].T).max(axis=1)
            for i in range(0, len(sample), 512)
        ]
        return float(np.concatenate(best).mean())

    return Comparison(1.0, nearest(kept), nearest(twin))


def _is_given(whole: Dataset) -> npt.NDArray[np.bool_]:
    return np.array([outcome == "given" for outcome in _optional(whole, "rbic_probe")], bool)


def _calibration(
    whole: Dataset, clean: npt.NDArray[np.int64], seed: int
) -> dict[str, difficulty.Calibration]:
    ok, n, prior = (
        tables.numbers_or_nan(whole, name)[clean]
        for name in ("rbic_correct", "rbic_rollouts", "rbic_prior")
    )
    # what columns give was rolled out elsewhere, or is a share that was counted as rollouts
    known = np.isfinite(prior) & np.isfinite(ok) & np.isfinite(n) & ~_is_given(whole)[clean]
    if (n[known] >= 2).sum() < ROWS_TO_CALIBRATE:
        return {}
    return difficulty.calibration(
        ok[known].astype(np.int32), n[known].astype(np.int32), prior[known], seed=seed
    )


def _lines(r: Report) -> list[str]:
    lines = [
        f"kept {int(r.rows.kept):,} of {int(r.rows.pool):,} clean rows "
        f"({r.num_rows:,} rows, {r.num_rows - int(r.rows.pool):,} set aside)",
        "",
        f"  {'':12}{'pool':>14}{'kept':>14}{'share':>9}",
    ]
    for name, share in r.amounts():
        lines.append(f"  {name:12}{share.pool:>14,.0f}{share.kept:>14,.0f}{share.ratio:>9.2%}")
    if r.set_aside:
        reasons = ", ".join(f"{count} {reason}" for reason, count in r.set_aside.items())
        lines += ["", f"set aside: {reasons}"]
    lines += [
        *_hygiene_lines(r),
        "",
        *_tier_lines(r),
        "",
        *_domain_lines(r),
        "",
        *_comparison_lines(r),
    ]
    if r.cut_share:
        lines.append(f"the encoder read only the start of {r.cut_share:.1%} of the questions")
    return lines


def _hygiene_lines(r: Report) -> list[str]:
    if not r.hygiene:
        return []
    lines = ["", f"  {'per 1,000 rows':22}{'rows':>8}{'before':>9}{'after':>9}"]
    for reason, fault in r.hygiene.items():
        lines.append(
            f"  {reason:22}{fault.rows:>8,}{fault.per_1000:>9.1f}{fault.kept_per_1000:>9.1f}"
        )
    return lines


def _tier_lines(r: Report) -> list[str]:
    if not r.tiers:
        return [f"difficulty: {r.difficulty_note()}"]
    lines = [f"  {'tier':12}{'pool':>14}{'kept':>14}   of the cost"]
    lines += [f"  {name:12}{s.pool:>14.1%}{s.kept:>14.1%}" for name, s in r.tiers.items()]
    lines.append(f"difficulty: {r.measured_note()}")
    if r.calibration:
        lines += ["", f"  {'half the rollouts, held aside':30}{'Brier':>8}{'MAE':>8}{'tiers':>8}"]
        lines += [
            f"  {CALIBRATED[name]:30}{c.brier:>8.3f}{c.mae:>8.3f}{c.tier_accuracy:>8.1%}"
            for name, c in r.calibration.items()
        ]
        lines.append(f"  {CALIBRATION_NOTE}")
    return lines


def _domain_lines(r: Report) -> list[str]:
    covered = sum(share.kept > 0 for share in r.domains.values())
    lines = [f"  {'domain':34}{'pool':>8}{'kept':>8}   of the cost"]
    shown = list(r.domains.items())[:DOMAINS_SHOWN]
    lines += [f"  {name[:33]:34}{s.pool:>8.1%}{s.kept:>8.1%}" for name, s in shown]
    if len(r.domains) > DOMAINS_SHOWN:
        lines.append(f"  ... and {len(r.domains) - DOMAINS_SHOWN} more")
    lines.append(f"domains covered: {covered} of {len(r.domains)}")
    told = ", ".join(f"{name} {value:.2f}" for name, value in r.agreement.items())
    if told:
        lines.append(f"domains agree with (0 nothing, 1 the same): {told}")
    lines += r.agreement_warnings()
    return lines


def _comparison_lines(r: Report) -> list[str]:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [f"  {'mean':14}{'pool':>8}{'kept':>8}{'twin':>8}"]
    named = (("contribution", r.contribution), ("depth", r.depth), ("coverage", r.coverage))
    for name, c in named:
        lines.append(f"  {name:14}{shown(c.pool):>8}{shown(c.kept):>8}{shown(c.twin):>8}")
    lines.append(
        "twin: random rows with the same domains, tiers and lengths; "
        f"{r.twin_overlap:.1%} of the kept rows are in it too"
    )
    return lines
