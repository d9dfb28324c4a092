"""Real rows of every layout, columns unnamed; skipped where the data folder is absent."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import WordEncoder
from scipy.stats import spearmanr

import rbic_hf
from rbic_hf import DataError, hub

POOLS = [
    "gsm8k_train", "math_boxed", "r1_think_messages", "long_thought_sharegpt", "math_alpaca",
    "code_mbpp_alpaca", "zh_gaokao_alpaca",
]  # fmt: skip
REFUSED = {"dpo_en_demo": "Preference", "kto_en_demo": "KTO", "glaive_toolcall_en_demo": "tool"}


@pytest.mark.parametrize("name", POOLS)
def test_every_pool_is_refined_without_naming_columns(data: Path, name: str) -> None:
    pool = hub.load_source(str(data / "pools" / f"{name}.jsonl"))
    dataset = pool.select(range(min(300, pool.num_rows)))
    scored = rbic_hf.score(dataset, encoder=WordEncoder(), probe=False)
    refined = rbic_hf.select(scored, 0.16)
    clean = scored.filter(rbic_hf.transforms.is_clean)
    assert clean.num_rows >= 0.7 * dataset.num_rows
    assert sum(refined["rbic_cost"]) <= 0.16 * sum(clean["rbic_cost"]) * (1 + 1e-6)
    if name != "r1_think_messages":  # 14 traces to a question, of which one is kept
        largest = max(clean["rbic_cost"])
        assert sum(refined["rbic_cost"]) >= 0.16 * sum(clean["rbic_cost"]) - largest
    own = refined.select_columns(dataset.column_names)
    assert own.features == dataset.features
    table = clean.to_pandas()
    assert abs(spearmanr(table.rbic_contribution, table.rbic_tokens).statistic) < 0.2


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_are_no_reasoning_rows_are_refused_by_name(data: Path, name: str) -> None:
    dataset = hub.load_source(str(data / "formats" / f"{name}.jsonl"))
    with pytest.raises(DataError, match=REFUSED[name]):
        rbic_hf.refine(dataset, encoder=WordEncoder(), probe=False)
