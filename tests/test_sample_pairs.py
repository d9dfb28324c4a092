"""English and Chinese renderings of one computation graph."""

from __future__ import annotations

import pytest
from scipy.stats import spearmanr

from rbic_hf import ConfigError
from rbic_hf.sample_pairs import make_pairs
from rbic_hf.steps import measure


@pytest.mark.parametrize("seed", [0, 1])
def test_both_sides_have_equal_depth_and_it_is_the_true_one(seed: int) -> None:
    pairs = make_pairs(200, seed=seed)
    english = [measure(pair["english"]).depth for pair in pairs]
    chinese = [measure(pair["chinese"]).depth for pair in pairs]
    truth = [pair["true_depth"] for pair in pairs]
    assert max(abs(a - b) for a, b in zip(english, chinese, strict=True)) <= 1
    assert spearmanr(english, truth).statistic >= 0.95
    assert spearmanr(chinese, truth).statistic >= 0.95


def test_pairs_repeat_and_differ_by_seed() -> None:
    assert make_pairs(5, seed=3) == make_pairs(5, seed=3)
    assert make_pairs(5, seed=3) != make_pairs(5, seed=4)
    assert {pair["true_depth"] for pair in make_pairs(200)} == set(range(1, 9))


def test_the_sides_are_in_their_languages() -> None:
    for pair in make_pairs(20):
        assert pair["english"].isascii() or "×" in pair["english"] or "÷" in pair["english"]
        assert any("\u4e00" <= char <= "\u9fff" for char in pair["chinese"])


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_pairs"):
        make_pairs(0)
