"""What is wrong with rows, before and after: reasons with their number per 1,000 rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rbic_hf import tables
from rbic_hf.columns import CONTAMINATED

if TYPE_CHECKING:
    from datasets import Dataset

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """How often one thing is wrong.

    Attributes:
        rows: rows before: of all, or of the clean ones for what is not set aside.
        kept: kept rows.
        per_1000: `rows` per 1,000 of those.
        kept_per_1000: `kept` per 1,000 kept rows; 0 where nothing was kept.
    """

    rows: int
    kept: int
    per_1000: float
    kept_per_1000: float


def count_faults(scored: Dataset, clean: Rows, kept: Rows) -> dict[str, Fault]:
    """Return reason -> how often, before and among the kept rows.

    First the reasons for which rows were set aside, most frequent first: those that were looked for
    and found, and "contaminated" wherever benchmarks were named. Then, for clean rows,
    "near_duplicate" (rows beyond one of each group) and "contradicted" (the response's answer is
    not the reference).
    """
    status = tables.values_of(scored, "rbic_status")
    is_clean = np.zeros(len(status), bool)
    is_clean[clean] = True
    before = Counter(word for word, fine in zip(status, is_clean.tolist(), strict=True) if not fine)
    reasons = [reason for reason, _ in before.most_common()]
    if "rbic_contaminated_by" in scored.column_names and CONTAMINATED not in before:
        reasons.append(CONTAMINATED)
    after = Counter(status[row] for row in kept.tolist())
    faults = {
        reason: _fault(before[reason], len(status), after[reason], len(kept)) for reason in reasons
    }
    if "rbic_duplicate_group" in scored.column_names:
        group = tables.numbers_of(scored, "rbic_duplicate_group")
        faults["near_duplicate"] = _fault(
            _surplus(group[clean]), len(clean), _surplus(group[kept]), len(kept)
        )
    if "rbic_answer" in scored.column_names:
        answers = np.array(tables.values_of(scored, "rbic_answer"), object) == "contradicted"
        faults["contradicted"] = _fault(
            int(answers[clean].sum()), len(clean), int(answers[kept].sum()), len(kept)
        )
    return faults


def _fault(rows: int, num_rows: int, kept: int, num_kept: int) -> Fault:
    return Fault(rows, kept, 1000 * rows / max(num_rows, 1), 1000 * kept / max(num_kept, 1))


def _surplus(group: npt.NDArray[np.float64]) -> int:
    known = group[np.isfinite(group)]
    return len(known) - len(np.unique(known))
