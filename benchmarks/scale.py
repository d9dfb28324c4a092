"""Graph, domains and selection from ten thousand rows to a million, beside their peers.

python benchmarks/scale.py            clustered and real vectors, 10k, 100k and 1M rows, d = 384
python benchmarks/scale.py --quick    10k rows

Real vectors are the packaged MiniLM's of the pools, repeated with noise: a copy has a cosine of
about .74 to its original, as a real question has to its nearest one. They overlap, so recall is
judged on them. Every measurement is a process of its own; its memory is what it takes beyond the
vectors. Peers that are not installed are left out (`uv pip install --group peers`), and at a
million rows all of them are: they would take hours.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scale_peers
from recording import DATA, finish, rows_of

from rbic_hf import (
    cached,
    embed,
    engines,
    facility_location,
    formats,
    graph,
    layouts,
    neighbors,
    partitions,
    selection,
)
from rbic_hf.store import Store, default_cache_dir

Vectors = npt.NDArray[np.float32]

K, DIM, NOISE, RATIO = 20, 384, 0.6, 0.16
SAMPLE = 1000
MOST_FOR_PEERS = 100_000
MOST_FOR_COMPARING_ALL = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10k rows only")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "WHAT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(np.load(args.one[0]), args.one[1])))
        return
    figures: dict[str, Any] = {}
    real = real_vectors()
    with tempfile.TemporaryDirectory() as folder:
        for n in [10_000] if args.quick else args.rows:
            for data, vectors in (("clustered", clustered(n)), ("real", grown(real, n))):
                file = Path(folder) / "vectors.npy"
                np.save(file, vectors)
                del vectors
                for what in names(n, not args.no_peers):
                    figures[f"{data}_{n}_{what}"] = run(file, what, f"{data} {n:,} {what}")
    finish("scale", {**growth(figures), **figures})


def names(n: int, with_peers: bool) -> list[str]:
    mine = ["ours", "partitions"] if n <= neighbors.EXACT_ROWS else ["ours"]
    if not with_peers or n > MOST_FOR_PEERS:
        return mine
    return [*mine, *scale_peers.NEIGHBORS, "apricot", "sklearn_kmeans"]


def run(file: Path, what: str, title: str) -> dict[str, Any] | None:
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(file), what], capture_output=True, text=True
    )
    if done.returncode:
        print(f"{title}: left out ({done.stderr.strip().splitlines()[-1:]})", flush=True)
        return None
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{title}: {json.dumps(found)}", flush=True)
    return found


def measure(vectors: Vectors, what: str) -> dict[str, Any]:
    forget_peak()
    before = peak_mb()
    if what == "ours":
        found = ours(vectors)
    elif what == "partitions":  # where all pairs are compared: what the other way would take
        partitions.search(vectors[:2000], K, seed=0)  # compiles
        found, (rows, _, _) = clocked(
            "neighbors", lambda: partitions.search(vectors, K + 1, seed=0)
        )
        found["recall"] = round(recall(vectors, rows), 4)
    elif what == "apricot":
        found = apricot(vectors)
    elif what == "sklearn_kmeans":
        wanted = graph.default_num_domains(len(vectors))
        found, _ = clocked("domains", lambda: scale_peers.kmeans_domains(vectors, wanted))
    else:
        found = peer_neighbors(vectors, what)
    extra = peak_mb() - before
    return {**found, "extra_mb": round(extra), "times_vectors": round(extra / mb(vectors), 2)}


def ours(vectors: Vectors) -> dict[str, Any]:
    n = len(vectors)
    compile_all(vectors)
    figures, near = clocked("neighbors", lambda: neighbors.nearest(vectors, K))
    if len(vectors) <= MOST_FOR_COMPARING_ALL:
        # including itself, as the peers are judged
        found = np.column_stack([np.arange(n, dtype=np.int32), near.indices])
        figures["recall"] = round(recall(vectors, found), 4)
    figures["recall_said"] = round(near.recall, 4)
    part, similarity = clocked(
        "graph", lambda: graph.similarity_graph(near.indices, near.similarities)
    )
    figures |= part
    wanted = graph.default_num_domains(n)
    part, domain = clocked(
        "domains",
        lambda: graph.settle_domains(
            graph.find_domains(similarity, wanted, seed=0, vectors=vectors),
            vectors,
            near.indices,
        ),
    )
    figures |= part | {"num_domains": int(domain.max()) + 1}
    part, candidates = clocked("rest", lambda: candidates_of(similarity, near, domain))
    figures |= part
    part, order = clocked(
        "selection", lambda: selection.pick_order(candidates, similarity, BUDGETS)
    )
    figures |= part
    part, length = clocked(
        "ratio",
        lambda: selection.prefix_length(candidates.cost[order], RATIO * candidates.cost.sum()),
    )
    figures |= part | {"kept": length}
    part, picks = clocked("facility_location", lambda: sixteen_percent(similarity))
    figures |= part
    return figures | {"objective": round(facility_location.coverage(similarity, picks), 5)}


BUDGETS = selection.Budgets(
    alpha=0.75,
    tilt=0.0,
    tier_weight=(0.6, 1.0, 1.0, 1.0),
    capped_tier=3,
    cap=0.15,
    contribution_weight=0.25,
    max_per_group=1,
)


def sixteen_percent(similarity: Any) -> npt.NDArray[np.int64]:
    """Return 16 % of the rows by facility location alone, what apricot is asked for."""
    return facility_location.by_coverage(similarity)[: round(RATIO * similarity.shape[0])]


def candidates_of(similarity: Any, near: Any, domain: Any) -> selection.Candidates:
    """Return made-up rows on real questions: log-normal lengths, tiers and contributions."""
    n = similarity.shape[0]
    rng = np.random.default_rng(0)
    tokens = np.exp(rng.normal(6, 0.8, n)).round() + 5
    tier = rng.choice(4, n, p=[0.3, 0.4, 0.2, 0.1]).astype(np.int32)
    return selection.Candidates(
        cost=tokens * (1 + tokens / 5000),
        num_tokens=tokens,
        domain=domain,
        tier=tier,
        tier_mass=np.eye(4)[tier],
        contribution=rng.random(n),
        group=graph.duplicate_groups(near.indices, near.similarities, 0.95),
    )


def compile_all(vectors: Vectors) -> None:
    """Compile first: once a process, about as long as ten thousand rows take."""
    partitions.search(vectors[:2000], K, seed=0)
    few = neighbors.nearest(vectors[: facility_location.WORTH_COMPILING], K)
    sixteen_percent(graph.similarity_graph(few.indices, few.similarities))


def peer_neighbors(vectors: Vectors, name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for settings, search in scale_peers.NEIGHBORS[name](vectors, K + 1):
        figures, found = clocked("neighbors", search)
        figures |= {"settings": settings, "recall": round(recall(vectors, found), 4)}
        if figures["recall"] >= 0.95:
            break
    return figures


def apricot(vectors: Vectors) -> dict[str, Any]:
    near = neighbors.nearest(vectors, K)
    similarity = graph.similarity_graph(near.indices, near.similarities)
    num_picks = round(RATIO * len(vectors))
    scale_peers.apricot_picks(similarity[:500][:, :500], 10)  # it compiles too
    figures, picks = clocked(
        "facility_location", lambda: scale_peers.apricot_picks(similarity, num_picks)
    )
    return figures | {"objective": round(facility_location.coverage(similarity, picks), 5)}


def recall(vectors: Vectors, found: npt.NDArray[Any]) -> float:
    """Return the share of the nearest rows, itself included, that are named; on a sample."""
    import faiss

    rows = np.random.default_rng(1).permutation(len(vectors))[:SAMPLE]
    _, truth = faiss.knn(vectors[rows], vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found[rows], truth, strict=True)]
    return float(np.mean(hits) / (K + 1))


def clocked(name: str, work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Return seconds and CPU-seconds of the work, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds = {f"{name}_s": round(time.perf_counter() - wall, 3)}
    return seconds | {f"{name}_cpu_s": round(time.process_time() - cpu, 3)}, result


def growth(figures: dict[str, Any]) -> dict[str, float]:
    """Return the exponent of growth of each of our stages, from one size to the next."""
    exponents: dict[str, float] = {}
    mine = {key: value for key, value in figures.items() if key.endswith("_ours") and value}
    sizes = sorted({int(key.split("_")[1]) for key in mine})
    for data in ("clustered", "real"):
        for small, large in itertools.pairwise(sizes):
            a, b = mine.get(f"{data}_{small}_ours"), mine.get(f"{data}_{large}_ours")
            for stage in ("neighbors", "graph", "domains", "selection"):
                if a and b and a[f"{stage}_cpu_s"] > 0:
                    rate = b[f"{stage}_cpu_s"] / a[f"{stage}_cpu_s"]
                    exponent = math.log(rate) / math.log(large / small)
                    exponents[f"growth_{data}_{stage}_{small}_{large}"] = round(exponent, 2)
    print("\n".join(f"{key}: {value}" for key, value in exponents.items()))
    return exponents


def clustered(n: int) -> Vectors:
    """Return n unit vectors around n / 250 centres, well apart."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(n // 250, 2), DIM), dtype=np.float32)
    rows = centres[rng.integers(0, len(centres), n)]
    return normalised(rows + np.float32(0.7) * rng.standard_normal((n, DIM), dtype=np.float32))


def grown(vectors: Vectors, n: int) -> Vectors:
    """Return n rows: the vectors in another order, again and again, each time with other noise."""
    rng = np.random.default_rng(0)
    rows = vectors[np.resize(rng.permutation(len(vectors)), n)]
    for start in range(0, n, 100_000):
        part = rows[start : start + 100_000]
        part += np.float32(NOISE / DIM**0.5) * rng.standard_normal(part.shape, dtype=np.float32)
    return normalised(rows)


def normalised(rows: Vectors) -> Vectors:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def real_vectors() -> Vectors:
    """Return the vectors of the distinct questions of all pools; embedded once, then kept."""
    questions: dict[str, None] = {}
    for file in sorted((DATA / "pools").glob("*.jsonl")):
        rows = rows_of(f"pools/{file.stem}")
        layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
        readings = (formats.read_row(layout, row) for row in rows)
        questions |= dict.fromkeys(r.question for r in readings if r.status == "clean")
    encoder = engines.resolve_encoder(engines.packaged_folder(engines.PACKAGED_ENCODER))
    spec = {**(embed.describe(encoder) or {}), "stage": embed.VERSION}
    store = Store.open(default_cache_dir(), "embeddings", spec)
    vectors, _ = cached.embeddings(encoder, store, list(questions))
    return np.ascontiguousarray(vectors)


def forget_peak() -> None:
    """Let the peak begin at what is held now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Return the most memory held since `forget_peak`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mb(vectors: Vectors) -> float:
    return vectors.nbytes / 2**20


if __name__ == "__main__":
    main()
