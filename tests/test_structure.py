"""The rules of the house: who imports whom, what an import loads, which names are public."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rbic_hf

PACKAGE = Path(rbic_hf.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)

# Stages map texts and arrays to arrays. Two of them are split over several files, each of which
# belongs to its stage alone.
STAGES = {
    "formats": {"formats", "layouts", "thinking", "final_answers", "hygiene", "values"},
    "decontamination": {"decontamination"},
    "embed": {"embed"},
    "graph": {"neighbors", "partitions", "graph", "domain_labels"},
    "probe": {
        "prompts",
        "probers",
        "probers.local",
        "probers.vllm_process",
        "probers.vllm_engine",
        "probers.server",
        "probers.server_requests",
        "probers.server_addresses",
        "probers.chat_template",
        "probers.columns",
        "probers.loading",
        "probers.likelihood",
        "probers.reasoning",
    },
    "grade": {"grading", "grading_numbers", "graders", "workers"},
    "difficulty": {"difficulty"},
    "steps": {
        "steps",
        "reasoning_graph",
        "reasoning_nodes",
        "segments",
        "statements",
        "symbols",
        "producers",
        "references",
        "cues",
        "numerals",
        "answer_tail",
        "code_flow",
        "code_text",
        "code_names",
        "code_reading",
        "code_statements",
    },
    "contribution": {"contribution"},
    "baselines": {"baselines"},
    "selection": {"selection", "facility_location"},
}
SHARED = {"errors", "protocols", "model_folders"}  # words that every stage may use


def source_of(module: str) -> str:
    return (PACKAGE / (module.replace(".", "/") + ".py")).read_text("utf-8")


def imports(module: str, *, at_import: bool = False) -> set[str]:
    """Return the modules that a file imports; `rbic_hf.x` for siblings."""
    tree = ast.parse(source_of(module))
    found: set[str] = set()
    nodes = ast.walk(tree) if not at_import else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found |= {f"{base}.{a.name}" for a in node.names} if base == "rbic_hf" else {base}
    return found


def siblings(module: str) -> set[str]:
    own = {name.removeprefix("rbic_hf.") for name in imports(module) if name.startswith("rbic_hf.")}
    return {name if name in MODULES else name.split(".")[0] for name in own}


def test_every_stage_file_is_there() -> None:
    named = {file for files in STAGES.values() for file in files}
    assert {f"{file}.__init__" if file == "probers" else file for file in named} <= set(MODULES)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_import_neither_each_other_nor_datasets_nor_the_hub(stage: str) -> None:
    for module in STAGES[stage] - {"probers"}:
        assert siblings(module) <= STAGES[stage] | SHARED, module
        roots = {name.split(".")[0] for name in imports(module)}
        assert not roots & {"datasets", "huggingface_hub"}, module


def test_only_hub_talks_to_the_hub() -> None:
    talking = {"huggingface_hub", "requests", "httpx", "urllib"}
    for module in MODULES:
        if not module.startswith("hub"):
            roots = {name.split(".")[0] for name in imports(module)}
            assert not roots & talking, module


def test_only_refinery_knows_the_order_of_the_stages() -> None:
    late = {"difficulty", "contribution", "selection", "steps"}
    composing = [m for m in MODULES if late <= siblings(m)]
    assert composing == ["refinery"]


@pytest.mark.parametrize("module", MODULES)
def test_no_function_shares_its_name_with_its_module(module: str) -> None:
    tree = ast.parse(source_of(module))
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert module not in defined
    assert module not in set(rbic_hf.__all__) - {"transforms"}


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_small(module: str) -> None:
    text = source_of(module)
    assert len(text.splitlines()) <= 420
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False) or ""
            body = (node.end_lineno or 0) - node.body[0].lineno - doc.count("\n")
            assert body <= 60, f"{module}.{node.name} has {body} lines"


def test_importing_the_package_loads_no_engine() -> None:
    script = """
import sys, json
import rbic_hf
import rbic_hf.cli
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {
        "torch", "transformers", "vllm", "sentence_transformers", "faiss", "sklearn", "datasets",
        "numba", "matplotlib", "openvino", "nncf", "graspologic_native", "scipy",
    }  # fmt: skip


@pytest.mark.parametrize("order", ["import datasets, rbic_hf", "import rbic_hf, datasets"])
def test_pipe_is_there_in_whichever_order_the_libraries_are_imported(order: str) -> None:
    script = f"""
{order}
ds = datasets.Dataset.from_dict({{"a": [1, 2]}})
assert ds.pipe(lambda d, n: d.num_rows + n, n=1) == 3
assert ds.pipe((lambda n, data: data.num_rows + n, "data"), 5) == 7
for name in ("DatasetDict", "IterableDataset", "IterableDatasetDict"):
    assert hasattr(getattr(datasets, name), "pipe")
before = ds._fingerprint
assert ds.map(lambda r: r).pipe(len) == 2
rbic_hf.disable_pipe()
assert not hasattr(ds, "pipe")
rbic_hf.enable_pipe()
assert ds.pipe(len) == 2 and ds._fingerprint == before
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_pipe_of_datasets_own_is_left_alone() -> None:
    script = """
import datasets
datasets.Dataset.pipe = lambda self, fn: "theirs"
import rbic_hf
ds = datasets.Dataset.from_dict({"a": [1]})
assert ds.pipe(len) == "theirs"
rbic_hf.disable_pipe()
assert ds.pipe(len) == "theirs"
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_public_names_are_these() -> None:
    assert rbic_hf.__all__ == [
        "ColumnProber", "ConfigError", "DataError", "Encoder", "Explanation", "HubError",
        "ModelError", "Prober", "RbicConfig", "RbicError", "Report", "Sample", "ServerProber",
        "TransformersProber", "VllmProber", "disable_pipe", "draw_pictures", "enable_pipe",
        "explain", "pipe", "rbic_refine", "refine", "report", "score", "select", "transforms",
        "with_likelihoods",
    ]  # fmt: skip
    for name in rbic_hf.__all__:
        assert getattr(rbic_hf, name) is not None
        assert name in dir(rbic_hf)
    assert rbic_hf.rbic_refine is rbic_hf.refine
    assert callable(rbic_hf.report)
    assert inspect.ismodule(rbic_hf.transforms)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rbic_hf.nothing  # noqa: B018
