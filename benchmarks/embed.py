"""Embedding on a CPU: plain `SentenceTransformer.encode`, ours, and each runtime that is installed.

    python benchmarks/embed.py [--quick] [--rows 1000] [--rounds 3]

The packaged MiniLM on real questions. The encoders take turns, and each one's best round counts;
ours are measured with everything around them: hashing, store on disk, cut-off. Agreement is the
share of a question's 20 nearest that are also the plain model's; NMI is that of the domains with
math_boxed's `type`. What the package leaves out (onnx, torch in 8 bits) is here to show why.
The last line is JSON; it is appended to benchmarks/results/embed.jsonl.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from recording import finish, rows_of

from rbic_hf import cached, engines, formats, graph, layouts, neighbors
from rbic_hf.embed import Vectors
from rbic_hf.store import Store

POOLS = ("gsm8k_train", "math_boxed", "math_alpaca")
NUM_NEIGHBORS = 20
MODEL = engines.packaged_folder(engines.PACKAGED_ENCODER) or ""

Embed = Callable[[list[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 questions a pool, two rounds")
    parser.add_argument("--rows", type=int, default=1000, help="questions of each pool")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--static", metavar="FOLDER", help="a static model that is there already")
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    num_rows, rounds = (200, 2) if args.quick else (args.rows, args.rounds)
    figures: dict[str, Any] = {"rows": num_rows, "rounds": rounds}
    with tempfile.TemporaryDirectory() as folder:
        encoders = installed(Path(folder), args.static, distil=not args.quick)
        for embed in encoders.values():
            embed(["A first text loads the model, and a second is there.", "Another."])
        for pool in POOLS:
            texts, types = questions(pool, num_rows)
            figures[pool] = compare(encoders, texts, types, rounds)
            show(pool, figures[pool])
    finish("embed", figures)


def questions(pool: str, num_rows: int) -> tuple[list[str], list[str] | None]:
    """Return an even sample of a pool's distinct questions, and their types where it has some."""
    rows = rows_of(f"pools/{pool}")
    layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
    read = {formats.read_row(layout, row).question: row.get("type") for row in rows}
    read.pop("", None)
    places = np.unique(np.linspace(0, len(read) - 1, num_rows).astype(int))
    texts = [list(read)[i] for i in places]
    return texts, [str(read[text]) for text in texts] if all(read.values()) else None


def compare(
    encoders: Mapping[str, Embed], texts: list[str], types: list[str] | None, rounds: int
) -> dict[str, dict[str, float]]:
    """Return for each encoder its speed, and what became of the neighbours and the domains."""
    wall: dict[str, list[float]] = {name: [] for name in encoders}
    cpu: dict[str, list[float]] = {name: [] for name in encoders}
    vectors: dict[str, Vectors] = {}
    for _ in range(rounds):
        for name, embed in encoders.items():
            started, spent = time.perf_counter(), time.process_time()
            found = embed(texts)
            cpu[name].append(time.process_time() - spent)
            wall[name].append(time.perf_counter() - started)
            vectors[name] = unit(found)
    plain = next(iter(encoders))
    truth = neighbors_of(vectors[plain])
    return {
        name: {
            "per_s": round(len(texts) / min(wall[name]), 1),
            "ratio": round(min(wall[plain]) / min(wall[name]), 3),
            "cpu_ratio": round(min(cpu[plain]) / min(cpu[name]), 3),
            "agreement": round(shared(truth, neighbors_of(vectors[name])), 4),
            **({"nmi": round(nmi(vectors[name], types), 3)} if types else {}),
        }
        for name in encoders
    }


def unit(vectors: Any) -> Vectors:
    found = np.asarray(vectors, np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def neighbors_of(vectors: Vectors) -> np.ndarray:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :NUM_NEIGHBORS]


def shared(truth: np.ndarray, found: np.ndarray) -> float:
    same = [len(np.intersect1d(a, b)) for a, b in zip(truth, found, strict=True)]
    return float(np.mean(same)) / truth.shape[1]


def nmi(vectors: Vectors, types: list[str]) -> float:
    from sklearn.metrics import normalized_mutual_info_score

    near = neighbors.nearest(vectors, NUM_NEIGHBORS)
    edges = graph.similarity_graph(near.indices, near.similarities)
    domains = graph.find_domains(edges, graph.default_num_domains(len(vectors)), seed=0)
    return float(normalized_mutual_info_score(types, domains))


def show(pool: str, found: Mapping[str, Mapping[str, float]]) -> None:
    print(f"\n{pool:16} per s    ratio  CPU ratio  agreement  NMI")
    for name, f in found.items():
        print(
            f"{name:16} {f['per_s']:<8.1f} {f['ratio']:<6.3f} {f['cpu_ratio']:<10.3f} "
            f"{f['agreement']:<10.4f} {f.get('nmi', '')}",
            flush=True,
        )


def installed(folder: Path, static: str | None, *, distil: bool) -> dict[str, Embed]:
    """Return what can be measured here; the plain model comes first."""
    found: dict[str, Embed] = {"encode": plain_model().encode, "ours": ours(MODEL, folder)}
    for prefix, needed in engines.ENCODER_PREFIXES.items():
        if has(*needed):
            found[prefix] = ours(f"{prefix}:{MODEL}", folder)
    if static is None and distil and has("model2vec", "skeletoken"):
        static = distilled(folder / "static")
    if static:
        found["static"] = ours(static, folder)
    found["torch int8"] = torch_int8().encode
    if has("onnx", "onnxruntime", "onnxscript"):
        found |= {name: model.encode for name, model in onnx_models(folder).items()}
    return found


def has(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def ours(encoder: str, folder: Path) -> Embed:
    """Return our way to vectors, with a new store on disk at each call."""
    engine = engines.resolve_encoder(encoder)

    def embed(texts: list[str]) -> Vectors:
        with tempfile.TemporaryDirectory(dir=folder) as store:
            return cached.embeddings(engine, Store(Path(store)), texts)[0]

    return embed


def plain_model() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(MODEL, device="cpu", local_files_only=True)


def distilled(folder: Path) -> str:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    started = time.perf_counter()
    layer = StaticEmbedding.from_distillation(MODEL, device="cpu")
    SentenceTransformer(modules=[layer]).save(str(folder))
    print(f"a static model was distilled in {time.perf_counter() - started:.0f} s")
    return str(folder)


def torch_int8() -> Any:
    import warnings

    import torch

    model = plain_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of torchao
        model[0].model = torch.ao.quantization.quantize_dynamic(
            model[0].auto_model, {torch.nn.Linear}, dtype=torch.qint8
        )
    return model


def onnx_models(folder: Path) -> dict[str, Any]:
    """Return the model in onnxruntime, exported here, and quantised as the Hub's files are."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = plain_model()
    example = dict(model.tokenizer(["one", "and two"], padding=True, return_tensors="pt"))
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    float_file, int8_file = folder / "model.onnx", folder / "model_qint8.onnx"
    torch.onnx.export(
        model[0].auto_model, (), float_file, kwargs=example, dynamo=True, verbose=False,
        input_names=list(example), dynamic_shapes=dict.fromkeys(example, sizes),
        external_data=False,
    )  # fmt: skip
    quantize_dynamic(float_file, int8_file, per_channel=True, weight_type=QuantType.QInt8)
    return {
        "onnx": in_onnxruntime(float_file, list(example)),
        "onnx int8": in_onnxruntime(int8_file, list(example)),
    }


def in_onnxruntime(file: Path, names: list[str]) -> Any:
    import onnxruntime
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    model = plain_model()

    def forward(**features: Any) -> Any:
        arrays = {name: features[name].numpy() for name in names}
        return BaseModelOutput(last_hidden_state=torch.from_numpy(session.run(None, arrays)[0]))

    model[0].auto_model.forward = forward
    return model


if __name__ == "__main__":
    main()
