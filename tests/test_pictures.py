"""The pictures: the numbers behind them by hand, hostile labels, the same bytes twice."""

from __future__ import annotations

import logging
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL, TableProber, WordEncoder
from datasets import Dataset
from scipy.stats import spearmanr

import rbic_hf
from rbic_hf import DataError, RbicError, picture_style, tables
from rbic_hf import picture_numbers as numbers
from rbic_hf.pictures import draw

pytest.importorskip("matplotlib")

NAMES = ["domain_map", "difficulty", "length_and_cost", "contribution_by_length", "ratio_curve"]


@pytest.fixture(scope="module")
def probed(rows: list[dict[str, Any]]) -> Dataset:
    prober = TableProber({row["question"]: row["answer"] for row in rows})
    return rbic_hf.score(
        Dataset.from_list(rows), config=SMALL, encoder=WordEncoder(named=False), prober=prober
    )


@pytest.fixture
def five() -> Dataset:
    """Five clean rows in three domains, with a budget that is easily counted."""
    return Dataset.from_dict({
        "rbic_status": ["clean", "too_long", "clean", "clean", "clean", "clean"],
        "rbic_rank": [0, None, 2, 1, 3, 4],
        "rbic_key": list("axbcde"),
        "rbic_embedding": [[1.0, 0.0], None, [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.6, 0.8]],
        "rbic_domain": [0, None, 0, 1, 1, 2],
        "rbic_domain_label": ["red", None, "red", "blue", "blue", "green"],
        "rbic_pass_rate": [0.1, None, 0.9, 0.5, 0.5, 0.1],
        "rbic_tier": ["hard", None, "easy", "medium", "medium", "hard"],
        "rbic_contribution": [0.9, None, 0.3, 0.5, 0.7, 0.1],
        "rbic_tokens": [10, 999, 20, 10, 30, 30],
        "rbic_cost": [10.0, 999.0, 20.0, 10.0, 30.0, 30.0],
    })  # fmt: skip


@pytest.fixture(scope="module")
def drawn(probed: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    kept = rbic_hf.select(probed, 0.3)
    return draw(probed, kept, tmp_path_factory.mktemp("pictures") / "new" / "one")


def texts_of(svg: Path) -> list[str]:
    root = ET.fromstring(svg.read_text("utf-8"))
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_all_pictures_are_written_and_a_second_call_gives_the_same_bytes(
    probed: Dataset, drawn: list[Path], tmp_path: Path
) -> None:
    assert [path.name for path in drawn] == [f"{n}.{e}" for n in NAMES for e in ("png", "svg")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn[::2])
    again = draw(probed, rbic_hf.select(probed, 0.3), str(tmp_path))
    assert [a.read_bytes() for a in drawn] == [b.read_bytes() for b in again]


def test_text_stays_text_and_says_what_is_shown(probed: Dataset, drawn: list[Path]) -> None:
    kept = rbic_hf.select(probed, 0.3)
    files = {path.name: path for path in drawn}
    num_clean = len(numbers.read_rows(probed, kept).place)
    caption = " ".join(texts_of(files["domain_map.svg"]))
    assert f"All {num_clean} clean rows" in caption and "mean nothing" in caption
    assert f"the {kept.num_rows} kept rows" in caption
    assert "unsolved" in texts_of(files["difficulty.svg"])
    clean = probed.filter(rbic_hf.transforms.is_clean)
    spearman = spearmanr(clean["rbic_contribution"], clean["rbic_tokens"]).statistic
    shown = f"{spearman:+.2f}".replace("-", "−")
    assert shown in " ".join(texts_of(files["contribution_by_length.svg"]))


def test_the_users_settings_neither_change_the_pictures_nor_are_changed(
    five: Dataset, tmp_path: Path
) -> None:
    import matplotlib
    from matplotlib import pyplot

    plain = draw(five, five.select([0]), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        styled = draw(five, five.select([0]), tmp_path / "styled")
        assert dict(matplotlib.rcParams) == before
    assert [a.read_bytes() for a in plain] == [b.read_bytes() for b in styled]
    assert pyplot.get_fignums() == []


HOSTILE = ["$\\frac{", "<script>alert(1)</script>", "\x1b[31mred", "中文", "a" * 500, None, "]]>&"]


def test_hostile_labels_are_drawn_as_plain_text(tmp_path: Path) -> None:
    n = 5 * len(HOSTILE)
    rng = np.random.default_rng(0)
    scored = Dataset.from_dict({
        "rbic_status": ["clean"] * n, "rbic_rank": list(range(n)),
        "rbic_key": [str(i) for i in range(n)], "rbic_domain": [i // 5 for i in range(n)],
        "rbic_embedding": rng.standard_normal((n, 4)).astype(np.float32).tolist(),
        "rbic_domain_label": [HOSTILE[i // 5] for i in range(n)],
        "rbic_contribution": rng.random(n).tolist(), "rbic_tokens": list(range(10, 10 + n)),
        "rbic_cost": [1.0] * n,
    })  # fmt: skip
    files = draw(scored, scored.select(range(0, n, 3)), tmp_path)
    # without the columns of probing, as with null in them, there is no difficulty
    assert {path.stem for path in files} == set(NAMES) - {"difficulty"}
    svg = tmp_path / "domain_map.svg"
    shown = texts_of(svg)
    has_chinese = len(picture_style.label_fonts()) > 1
    assert {"$\\frac{", "<script>alert(1)</script>", "[31mred", "]]>&", "domain 5"} <= set(shown)
    assert ("中文" if has_chinese else "domain 3") in shown
    assert any(text == "a" * 33 + "…" for text in shown)
    source = svg.read_text("utf-8")
    assert "<script" not in source and "\x1b" not in source


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("apples, pears", "apples, pears"),
        ("  a\n\tb ", "a b"),
        ("a\x00b\u202ec\ud800", "abc"),
        ("", "domain 7"),
        (None, "domain 7"),
        ("\U000f0000", "domain 7"),
        ("\u0378 unassigned", "unassigned"),
        ("x" * 34, "x" * 34),
        ("x" * 35, "x" * 33 + "…"),
    ],
)
def test_a_label_is_short_harmless_text(label: str | None, shown: str) -> None:
    assert picture_style.safe_label(label, 7) == shown


def test_what_cannot_be_drawn_is_left_out_and_said(
    five: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = five.remove_columns(["rbic_embedding", "rbic_pass_rate", "rbic_tier"])
    bare = bare.add_column("rbic_pass_rate", [None] * 6).add_column("rbic_tier", [None] * 6)
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        files = draw(bare, bare.select([0]), tmp_path)
    assert {path.stem for path in files} == set(NAMES) - {"domain_map", "difficulty"}
    assert "no rbic_embedding column" in caplog.text and "nothing was probed" in caplog.text
    assert not any("overage" in text for text in texts_of(tmp_path / "ratio_curve.svg"))


@pytest.mark.parametrize("num_rows", [1, 5])
def test_tiny_pools_are_drawn(five: Dataset, tmp_path: Path, num_rows: int) -> None:
    clean = five.select([0, 2, 3, 4, 5][:num_rows])
    assert len(draw(clean, clean, tmp_path)) == 10


def test_datasets_that_do_not_belong_together_are_refused(five: Dataset, tmp_path: Path) -> None:
    other = five.select([0]).remove_columns("rbic_key").add_column("rbic_key", ["other"])
    with pytest.raises(DataError, match="1 of 1 refined rows are not among the scored rows"):
        draw(five, other, tmp_path)
    with pytest.raises(DataError, match="'rbic_key' is not in the dataset; score the dataset"):
        draw(five, five.remove_columns("rbic_key"), tmp_path)
    with pytest.raises(DataError, match="no kept row"):
        draw(five, five.select([1]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_has_the_command(
    five: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RbicError, match=r"pip install 'rbic-hf\[pictures\]'"):
        draw(five, five, tmp_path)


def test_rows_are_read_as_arrays_with_nan_for_null(five: Dataset) -> None:
    rows = numbers.read_rows(five, rbic_hf.select(five, 0.2))
    assert rows.place.tolist() == [0, 2, 3, 4, 5]
    assert rows.is_kept.tolist() == [True, False, True, False, False]
    assert rows.tier.tolist() == [2, 0, 1, 1, 2]
    assert rows.domain.tolist() == [0, 0, 1, 1, 2]
    column = tables.numbers_of(five, "rbic_pass_rate")
    assert np.isnan(column[1]) and column[[0, 2]].tolist() == [0.1, 0.9]


def test_shares_sum_to_one_and_count_weights() -> None:
    edges = np.array([0, 0.5, 1])
    values = np.array([0.1, 0.2, 0.5, 1.0, np.nan, -3])
    found = numbers.shares(values, np.array([1, 2, 3, 2, 99, 2.0]), edges)
    assert found.tolist() == [0.5, 0.5]
    assert numbers.shares(values[4:5], np.ones(1), edges).tolist() == [0, 0]
    codes = np.array([0, 2, 2, -1], np.int32)
    assert numbers.code_shares(codes, np.array([1, 1, 2, 9.0]), 4).tolist() == [0.25, 0, 0.75, 0]


def test_length_deciles_are_tenths_and_keep_ties_together() -> None:
    assert np.bincount(numbers.length_deciles(np.arange(100.0))).tolist() == [10] * 10
    tied = numbers.length_deciles(np.array([5.0] * 50 + [9.0] * 50))
    assert len(set(tied[:50])) == len(set(tied[50:])) == 1 and tied[0] < tied[50]
    assert numbers.length_deciles(np.zeros(0)).tolist() == []


def test_medians_and_rank_correlation() -> None:
    codes = np.array([0, 0, 0, 2], np.int32)
    found = numbers.medians(np.array([1, 5, 3, np.nan]), codes, 3)
    assert found[0] == 3 and np.isnan(found[1:]).all()
    first, second = np.random.default_rng(0).random((2, 50)).round(1)
    assert numbers.spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert numbers.spearman(first, np.ones(50)) is None
    assert numbers.spearman(first[:1], second[:1]) is None


def test_the_curve_counts_what_each_prefix_holds(five: Dataset) -> None:
    rows = numbers.read_rows(five, five)
    order = numbers.pick_order(rows.rank)
    assert order.tolist() == [0, 2, 1, 3, 4]
    num_rows = numbers.prefix_lengths(rows.cost, order, np.array([0.01, 0.2, 0.4, 1.0]) * 100)
    assert num_rows.tolist() == [1, 2, 3, 5]
    curve = numbers.curve(rows, order, num_rows)
    assert curve.rows.tolist() == [0.2, 0.4, 0.6, 1.0]
    assert curve.contribution == pytest.approx([0.9, 0.7, 1.7 / 3, 0.5])
    assert curve.domains == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])


def test_a_ratio_of_one_keeps_every_row_that_has_a_rank(five: Dataset) -> None:
    ranks = [0, None, None, 1, 2, 3]
    scored = five.remove_columns("rbic_rank").add_column("rbic_rank", ranks)
    rows = numbers.read_rows(scored, scored)
    order = numbers.pick_order(rows.rank)
    whole = numbers.prefix_lengths(rows.cost, order, rows.cost.sum() * numbers.RATIOS)
    assert numbers.RATIOS[-1] == 1 and whole[-1] == 4
    assert (np.diff(whole) >= 0).all()


def test_coverage_is_the_mean_cosine_to_the_nearest_row_of_the_prefix() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order, num_rows = rng.permutation(60)[:50], np.array([1, 1, 7, 30, 50])
    step = numbers.entry_steps(order, num_rows, 60)
    sample = vectors[:20]
    blocks = [(slice(i, i + 16), vectors[i : i + 16]) for i in range(0, 60, 16)]
    [found] = numbers.coverages(blocks, sample, [step], len(num_rows))
    naive = [(sample @ vectors[order[:k]].T).max(axis=1).mean() for k in num_rows]
    assert found == pytest.approx(naive, abs=1e-6)


def test_the_blocks_are_the_rows_embeddings(five: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "BLOCK", 2)
    places = np.array([0, 2, 3, 4, 5])
    blocks = list(numbers.vector_blocks(five, places))
    assert [(b.start, len(v)) for b, v in blocks] == [(0, 2), (2, 2), (4, 1)]
    whole = np.concatenate([v for _, v in blocks])
    assert whole == pytest.approx(np.array([five[int(i)]["rbic_embedding"] for i in places]))


def test_a_sample_is_drawn_by_its_seed_and_in_order() -> None:
    assert numbers.sampled(4, 10, seed=0).tolist() == [0, 1, 2, 3]
    one, two = (numbers.sampled(1000, 10, seed=seed) for seed in (0, 1))
    assert len(set(one)) == 10 and (np.diff(one) > 0).all() and set(one) != set(two)
    assert one.tolist() == numbers.sampled(1000, 10, seed=0).tolist()


def test_the_map_keeps_two_groups_apart_and_falls_back_on_pca() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(80) % 2
    vectors = (np.eye(8)[group * 4] + 0.02 * rng.standard_normal((80, 8))).astype(np.float32)
    plane, method = numbers.flat_map(vectors, seed=0)
    between = np.linalg.norm(plane[group == 0].mean(axis=0) - plane[group == 1].mean(axis=0))
    assert method == "t-SNE" and between > 2 * plane[group == 0].std(axis=0).max()
    for few in (vectors[:5], vectors[:1], np.ones((40, 8), np.float32), vectors[:, :1]):
        plane, method = numbers.flat_map(few, seed=0)
        assert method == "PCA" and plane.shape == (len(few), 2) and np.isfinite(plane).all()


def test_ticks_are_round_few_and_inside() -> None:
    assert picture_style.log_ticks(0.01, 1) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    assert picture_style.log_ticks(101, 104) == [100]
    for high in (1.3, 3, 40, 5e3, 1e9, 1e30):
        ticks = picture_style.log_ticks(1, high)
        assert 1 <= len(ticks) <= picture_style.MOST_TICKS and ticks == sorted(set(ticks))


def test_names_do_not_overlap_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    centres, points = rng.normal(300, 40, (10, 2)), rng.normal(300, 80, (500, 2))
    sizes = np.tile([120.0, 18.0], (10, 1))
    low, high = np.zeros(2), np.array([800.0, 600.0])
    placed = picture_style.place_boxes(centres, sizes, points, np.ones(500), low, high)
    assert (placed - sizes / 2 >= low - 1e-9).all() and (placed + sizes / 2 <= high + 1e-9).all()
    for i in range(10):
        for j in range(i):
            gap = np.abs(placed[i] - placed[j]) - sizes[i]
            assert gap.max() >= -1e-9


def test_a_file_is_no_folder_for_pictures(probed: Dataset, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(rbic_hf.ConfigError, match="is a file"):
        draw(probed, rbic_hf.select(probed, 0.3), tmp_path / "taken")
