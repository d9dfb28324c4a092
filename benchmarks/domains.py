"""Whether the knowledge domains of a mixed pool are subjects: all pools together, packaged MiniLM.

python benchmarks/domains.py [--quick]     five seeds (one)

Agreement is normalised mutual information. With the human `type` of the MATH rows higher is better;
k-means on the same vectors, at the same number of clusters, stands beside. A domain is mixed where
less than .9 of its rows are of one language, or of code or not.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from recording import DATA, finish, rows_of

from rbic_hf import cached, domain_labels, embed, engines, formats, graph, layouts, neighbors
from rbic_hf.agreement import mutual_information
from rbic_hf.store import Store, default_cache_dir

Labels = npt.NDArray[np.int32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    args = parser.parse_args()
    rows = mixed_pool()
    questions = sorted(rows)
    vectors = embedded(questions)
    pool = np.unique([rows[q]["pool"] for q in questions], return_inverse=True)[1].astype(np.int32)
    is_chinese = np.array([rows[q]["language"] == "zh" for q in questions])
    is_code = np.array([rows[q]["pool"] == "code_mbpp_alpaca" for q in questions])
    typed = np.array([rows[q]["type"] is not None for q in questions])
    kinds = [str(rows[q]["type"]) for q in questions]
    kind = np.unique(kinds, return_inverse=True)[1].astype(np.int32)
    near = neighbors.nearest(vectors, 20)
    similarity = graph.similarity_graph(near.indices, near.similarities)
    wanted = graph.default_num_domains(len(questions))
    found: list[dict[str, float]] = []
    for seed in range(1 if args.quick else 5):
        raw = graph.find_domains(similarity, wanted, seed=seed, vectors=vectors)
        domain = graph.settle_domains(raw, vectors, near.indices)
        clusters = k_means(vectors, wanted, seed)
        found.append(
            {
                "num_domains": int(domain.max()) + 1,
                "type": mutual_information(domain[typed], kind[typed]),
                "type_before_settling": mutual_information(raw[typed], kind[typed]),
                "type_kmeans": mutual_information(clusters[typed], kind[typed]),
                "source": mutual_information(domain, pool),
                "mixed_language": mixed(domain, is_chinese),
                "mixed_code": mixed(domain, is_code),
            }
        )
        print({name: round(value, 4) for name, value in found[-1].items()})
        if seed == 0:
            show(questions, domain, [rows[q]["pool"] for q in questions])
    mean = {name: round(float(np.mean([f[name] for f in found])), 4) for name in found[0]}
    finish("domains", {"questions": len(questions), "seeds": len(found), **mean})


def mixed_pool() -> dict[str, dict[str, Any]]:
    """Return question -> pool, language and the human type, of all clean rows."""
    kept: dict[str, dict[str, Any]] = {}
    for file in sorted((DATA / "pools").glob("*.jsonl")):
        rows = rows_of(f"pools/{file.stem}")
        layout = layouts.recognise(list(rows[0]), rows[:50], named=None)
        for row in rows:
            reading = formats.read_row(layout, row)
            if reading.status == "clean":
                kind = row.get("type") if file.stem == "math_boxed" else None
                kept[reading.question] = {
                    "pool": file.stem, "language": reading.language, "type": kind,
                }  # fmt: skip
    return kept


def embedded(questions: list[str]) -> npt.NDArray[np.float32]:
    encoder = engines.resolve_encoder(engines.packaged_folder(engines.PACKAGED_ENCODER))
    spec = {**(embed.describe(encoder) or {}), "stage": embed.VERSION}
    store = Store.open(default_cache_dir(), "embeddings", spec)
    return np.ascontiguousarray(cached.embeddings(encoder, store, questions)[0])


def k_means(vectors: npt.NDArray[np.float32], wanted: int, seed: int) -> Labels:
    from sklearn.cluster import KMeans

    return KMeans(wanted, n_init=1, random_state=seed).fit_predict(vectors).astype(np.int32)


def mixed(domain: Labels, is_of_it: npt.NDArray[np.bool_]) -> int:
    """Return how many domains hold more than a tenth of either kind."""
    share = np.bincount(domain, is_of_it) / np.bincount(domain)
    return int(((share > 0.1) & (share < 0.9)).sum())


def show(questions: list[str], domain: Labels, pools: list[str]) -> None:
    labels = domain_labels.label_domains(questions, domain)
    for number, label in enumerate(labels):
        inside = Counter(p for p, d in zip(pools, domain, strict=True) if d == number)
        most = ", ".join(f"{name} {count}" for name, count in inside.most_common(3))
        print(f"{number:4} {sum(inside.values()):6}  {label:44} {most}")


if __name__ == "__main__":
    main()
