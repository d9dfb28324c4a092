"""From a name to an engine, and why it is this one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from rbic_hf import ConfigError, ModelError, RbicConfig, engines
from rbic_hf.probers.local import TransformersProber
from rbic_hf.probers.vllm_process import VllmProber


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "tiny"


@pytest.mark.parametrize(
    ("prefix", "kind"), [("", TransformersProber), ("vllm:", VllmProber)], ids=["local", "vllm"]
)
def test_a_folder_runs_with_transformers_or_with_vllm(
    folder: Path, prefix: str, kind: type
) -> None:
    config = RbicConfig(temperature=0.5, max_new_tokens=99)
    prober = engines.resolve_prober(f"{prefix}{folder}", config)
    assert type(prober) is kind
    assert prober.spec["prober"] == "tiny"
    assert prober.spec["revision"].startswith("local-")
    assert (prober.spec["temperature"], prober.spec["max_new_tokens"]) == (0.5, 99)
    assert str(folder) not in str(dict(prober.spec))


@pytest.mark.parametrize(
    ("device", "has_vllm", "kind", "why"),
    [
        ("cuda", True, VllmProber, "with vLLM: there is a GPU"),
        ("cuda", False, TransformersProber, "vLLM, which is faster, is not installed"),
        ("cpu", True, TransformersProber, "there is no GPU"),
        ("mps", True, TransformersProber, "vLLM needs a CUDA GPU"),
    ],
)
def test_auto_picks_what_fits_the_machine_and_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    device: str, has_vllm: bool, kind: type, why: str,
) -> None:  # fmt: skip
    asked: list[str] = []

    def resolve_model(model: str) -> tuple[str, str]:
        asked.append(model)
        return str(folder), "abc"

    monkeypatch.setattr(engines, "best_device", lambda: device)
    monkeypatch.setattr(engines.hub, "resolve_model", resolve_model)
    found: Any = object() if has_vllm else None
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: found)
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        assert type(engines.resolve_prober("auto", RbicConfig())) is kind
    assert why in caplog.text
    assert asked == [engines.DEFAULT_PROBER_CPU if device == "cpu" else engines.DEFAULT_PROBER_GPU]


def test_an_address_where_nobody_is_and_objects_that_are_no_prober_are_refused() -> None:
    with pytest.raises(ModelError, match=r"no answer from http://127\.0\.0\.1:9/v1"):
        engines.resolve_prober("http://127.0.0.1:9/v1", RbicConfig())
    with pytest.raises(ConfigError, match="the address of a server"):
        engines.resolve_prober(3, RbicConfig())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "device", "local", "limit"),
    [
        ({}, "cpu", True, 200),
        ({}, "cpu", False, 1000),
        ({}, "cuda", True, 1000),
        ({"max_probe_rows": 700}, "cpu", True, 700),
        ({"probe_fraction": 0.5}, "cpu", True, 500),
        ({"probe_fraction": 0.5, "max_probe_rows": 30}, "cpu", True, 30),
    ],
)
def test_only_a_cpu_of_ones_own_limits_what_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any], device: str, local: bool, limit: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(engines, "best_device", lambda: device)
    prober: Any = VllmProber(str(folder)) if local else object()
    assert engines.probe_limit(RbicConfig(**settings), 1000, prober) == limit
