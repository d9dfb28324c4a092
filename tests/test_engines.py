"""From a name to an engine, and why it is this one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from rbic_hf import ConfigError, ModelError, RbicConfig, engines
from rbic_hf.embed import SentenceEncoder, describe
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


def test_a_word_before_the_colon_names_the_precision_in_the_spec(folder: Path) -> None:
    plain, bf16 = engines.resolve_encoder(folder), engines.resolve_encoder(f"bf16:{folder}")
    assert type(plain) is type(bf16) is SentenceEncoder
    assert plain.spec["encoder"] == "tiny" and "precision" not in plain.spec
    assert describe(bf16) == {**plain.spec, "precision": "bfloat16"}


@pytest.mark.parametrize("encoder", ["onnx:tiny", "int8:org/model", "http://host/v1", "openvino:"])
def test_another_word_before_the_colon_is_refused(encoder: str) -> None:
    with pytest.raises(ConfigError, match="one of bf16, openvino, openvino-int8, and after it"):
        engines.resolve_encoder(encoder)


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "openvino:tiny").mkdir()
    found = engines.resolve_encoder(tmp_path / "openvino:tiny")
    assert describe(found) == {**found.spec} and "runtime" not in found.spec  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("prefix", "missing"),
    [("openvino", "openvino"), ("openvino-int8", "openvino and nncf")],
)
def test_a_runtime_that_is_not_installed_is_named_before_the_model_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, prefix: str, missing: str
) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(engines.hub, "resolve_model", lambda model: pytest.fail("looked for"))
    wanted = rf"needs {missing}: pip install 'rbic-hf\[openvino\]'"
    with pytest.raises(ModelError, match=wanted):
        engines.resolve_encoder(f"{prefix}:org/model")


@pytest.mark.parametrize("prefix", ["openvino", "openvino-int8"])
def test_the_precision_that_the_cpu_decides_is_said_and_named(
    folder: Path, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    for package in engines.ENCODER_PREFIXES[prefix]:
        pytest.importorskip(package, reason="needs the extra rbic-hf[openvino]")
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        first, second = (engines.resolve_encoder(f"{prefix}:{folder}") for _ in range(2))
    spec = describe(first)
    assert spec is not None and spec == describe(second)
    assert spec["runtime"] == "openvino" and spec["precision"] in caplog.text
    assert ("int8" in spec["precision"]) is ("calibration" in spec) is (prefix == "openvino-int8")
