"""hub.py against local files, and against a loopback Hub through the real clients."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import TOKEN, Client, ClientError, LoopbackHub

from rbic_hf import hub as module
from rbic_hf import hub_cards
from rbic_hf.errors import ConfigError, DataError, ModelError

ROWS = {"question": ["1+1?", "é \u0000 中"], "n": [1, None], "steps": [["a"], []]}
CARD = (
    "---\nlicense: apache-2.0\ntags: [rbic]\nsize_categories: [n<1K]\n---\n# Kept rows\n\nOurs.\n"
)
PUSH = "result = hub.push(datasets.Dataset.from_dict(rows), repo, **options)"


# --- through the loopback Hub ---


@pytest.fixture(scope="module")
def loopback():
    with LoopbackHub() as server:
        yield server


@pytest.fixture(scope="module")
def client(loopback, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    client = Client(loopback.env(folder / "home"), folder / "log.txt")
    client.run("datasets.disable_progress_bars()")
    yield client
    client.close()


@pytest.fixture(autouse=True)
def faultless(request):
    yield
    if "loopback" in request.fixturenames:
        request.getfixturevalue("loopback").faults.clear()


def push(client, repo, rows=ROWS, **options):
    return client.run(PUSH, repo=repo, rows=rows, options=options)


def fails(client, code, **values) -> ClientError:
    with pytest.raises(ClientError) as caught:
        client.run(code, **values)
    return caught.value


def test_a_pushed_dataset_loads_back_equal(client, loopback):
    url = push(client, "me/one")
    assert url == f"{loopback.url}/datasets/me/one"
    loaded = client.run(
        "d = hub.load_source('me/one')\nresult = {k: v.to_dict() for k, v in d.items()}"
    )
    assert loaded == {"train": ROWS}


@pytest.mark.parametrize("options", [{}, {"revision": "other"}, {"create_pr": True}])
def test_other_columns_than_before_load_back(client, options):
    repo = "me/columns" + "".join(options)
    push(client, repo, {"x": [1]})
    push(client, repo, {"x": [2], "rbic_rank": [0]}, **options)
    revision = "refs/pr/1" if "create_pr" in options else options.get("revision")
    code = "result = hub.load_source(repo, split='train', revision=revision).to_dict()"
    loaded = client.run(code, repo=repo, revision=revision)
    assert loaded == {"x": [2], "rbic_rank": [0]}


def test_a_push_to_one_split_keeps_the_others(client):
    code = """
D = datasets.Dataset.from_dict
hub.push(datasets.DatasetDict({"train": D({"x": [1]}), "test": D({"x": [2]})}), "me/keep")
hub.push(D({"x": [3]}), "me/keep")
result = {k: v.to_dict() for k, v in hub.load_source("me/keep").items()}
"""
    assert client.run(code) == {"train": {"x": [3]}, "test": {"x": [2]}}


def test_a_repo_without_a_namespace_is_the_users_own(client, loopback):
    for value in ({"x": [1]}, {"y": [2]}):
        url = push(client, "bare", value, card_text="Hello", private=True)
    assert url == f"{loopback.url}/datasets/me/bare"
    assert loopback.dataset("me/bare").private
    assert client.run("result = hub.load_source('me/bare')['train'].to_dict()") == {"y": [2]}


def test_columns_of_mixed_types_survive_the_round_trip(client):
    code = """
ragged = [{"a": 1}, {"a": "x"}, {"a": [1, {"b": None}]}]
f = datasets.Features({"id": datasets.Value("int64"), "mixed": datasets.Json()})
hub.push(datasets.Dataset.from_dict({"id": [1, 2, 3], "mixed": ragged}, features=f), "me/mixed")
back = hub.load_source("me/mixed", split="train")
result = [back.features == f, back["mixed"][:] == ragged]
"""
    assert client.run(code) == [True, True]


def test_a_pushed_dict_loads_back_equal_and_gives_one_split_on_request(client):
    code = """
d = datasets.DatasetDict({
    name: datasets.Dataset.from_dict({"x": list(range(n))}) for name, n in sizes.items()
})
hub.push(d, "me/splits", card_text="Hello")
back = hub.load_source("me/splits")
one = hub.load_source("me/splits", split="test")
result = [{k: v.to_dict() for k, v in back.items()}, one.to_dict(), type(one).__name__]
"""
    splits, one, kind = client.run(code, sizes={"train": 4, "test": 2})
    assert splits == {"train": {"x": [0, 1, 2, 3]}, "test": {"x": [0, 1]}}
    assert (one, kind) == ({"x": [0, 1]}, "Dataset")


def test_large_files_are_uploaded_in_parts(client, loopback):
    loopback.part_size = 700
    try:
        push(client, "me/parts", {"x": [os.urandom(8).hex() for _ in range(100)]})
    finally:
        loopback.part_size = None
    assert loopback.count("PUT", r"^/lfs/[0-9a-f]{64}/2$") == 1
    assert client.run("result = hub.load_source('me/parts')['train'].num_rows") == 100


def test_a_second_push_keeps_configs_and_what_a_person_wrote(client, loopback):
    push(client, "me/card", card_text=CARD)
    first = loopback.dataset("me/card").text()
    assert "license: apache-2.0" in first and "configs:" in first
    edited = first.replace("license: apache-2.0", "license: cc-by-4.0\npretty_name: Mine")
    edited = edited.replace("\n- rbic\n", "\n- math\n")
    edited = edited.replace("<!-- rbic:start -->", "Above.\n\n<!-- rbic:start -->") + "\nBelow.\n"
    loopback.put("dataset", "me/card", {"README.md": edited})

    push(client, "me/card", card_text=CARD.replace("Ours", "Renewed").replace("n<1K", "1K<n<10K"))
    second = loopback.dataset("me/card").text()
    for kept in ("license: cc-by-4.0", "pretty_name: Mine", "\n- math\n", "\n- rbic\n", "configs:"):
        assert second.count(kept) == 1, kept
    assert "dataset_info:" in second and "- 1K<n<10K" in second and "n<1K" not in second
    body = second.split("---\n")[2]
    assert body == (
        "\nAbove.\n\n<!-- rbic:start -->\n# Kept rows\n\nRenewed.\n<!-- rbic:end -->\n\nBelow.\n"
    )
    assert client.run("result = hub.load_source('me/card')['train'].to_dict()") == ROWS


def test_a_card_edited_during_the_push_is_merged_not_overwritten(client, loopback):
    push(client, "me/race", card_text=CARD)
    repo = loopback.dataset("me/race")

    def edit() -> None:
        text = repo.text().replace("license: apache-2.0", "license: mit") + "\nA note.\n"
        loopback.put("dataset", "me/race", {"README.md": text})

    loopback.before_commit = edit
    push(client, "me/race", {"x": [1]}, card_text=CARD)
    assert "license: mit" in repo.text() and "A note." in repo.text()
    assert repo.messages[-2:] == ["by somebody else", "Upload dataset"]  # our words are the same


def test_a_card_edited_between_data_and_card_is_merged_not_overwritten(client, loopback):
    repo = loopback.put("dataset", "me/late", {"README.md": "---\nlicense: mit\n---\nMine.\n"})

    def edit() -> None:
        text = repo.text().replace("license: mit", "license: cc0-1.0").replace("Mine", "Mine é 中")
        loopback.put("dataset", "me/late", {"README.md": text})

    def after_the_data() -> None:
        loopback.before_commit = edit

    loopback.before_commit = after_the_data
    push(client, "me/late", card_text=CARD)
    assert "license: cc0-1.0" in repo.text() and "Mine é 中." in repo.text()
    assert "Ours." in repo.text() and "configs:" in repo.text()
    assert loopback.count("POST", "/api/datasets/me/late/commit/main") == 3


def test_a_card_that_cannot_be_read_is_not_overwritten(client, loopback):
    repo = loopback.put("dataset", "me/unread", {"README.md": "---\nlicense: mit\n---\nMine.\n"})
    loopback.fail("HEAD", "me/unread/resolve/.*/README.md", 503, 999)
    raised = fails(client, PUSH, repo="me/unread", rows={"x": [1]}, options={"card_text": CARD})
    assert raised.name == "HubError" and "HTTP 503" in raised.message
    assert repo.text() == "---\nlicense: mit\n---\nMine.\n"


def test_a_pull_request_holds_data_and_card_and_leaves_main_alone(client, loopback):
    push(client, "me/pr", card_text=CARD)
    before = loopback.dataset("me/pr").refs["main"]
    url = push(client, "me/pr", {"x": [7]}, card_text="New words", create_pr=True)
    assert url == f"{loopback.url}/datasets/me/pr/discussions/1"
    repo = loopback.dataset("me/pr")
    assert repo.refs["main"] == before
    assert "New words" in repo.text(revision="refs/pr/1")
    assert "name: x" in repo.text(revision="refs/pr/1")
    assert set(repo.refs) == {"main", "refs/pr/1"}


def test_a_card_alone_gets_its_own_pull_request(client, loopback):
    push(client, "me/prcard", card_text=CARD)
    before = loopback.dataset("me/prcard").refs["main"]
    url = push(client, "me/prcard", card_text="Other words", create_pr=True)
    assert url.endswith("/discussions/1")
    assert loopback.dataset("me/prcard").refs["main"] == before
    assert "Other words" in loopback.dataset("me/prcard").text(revision="refs/pr/1")


def test_a_branch_is_pushed_to_and_loaded_from(client, loopback):
    push(client, "me/branch", {"x": [1]})
    push(client, "me/branch", {"x": [2]}, card_text="On the branch", revision="next")
    assert "On the branch" in loopback.dataset("me/branch").text(revision="next")
    assert "On the branch" not in loopback.dataset("me/branch").text()
    code = "result = hub.load_source('me/branch', split='train', revision=r)['x'][:]"
    assert client.run(code, r="next") == [2]
    assert client.run(code, r=None) == [1]


@pytest.mark.parametrize(
    ("method", "pattern", "status", "times"),
    [
        ("POST", "/commit/", 412, 1),
        ("POST", "/commit/", 409, 2),
        ("POST", "/commit/", 503, 2),
        ("GET", "/api/datasets/me/retried", 429, 1),
        ("GET", "/revision/", 500, 1),
        ("HEAD", "README.md", 503, 1),
    ],
)
def test_a_passing_fault_is_retried(client, loopback, method, pattern, status, times):
    fault = loopback.fail(method, pattern, status, times)
    push(client, "me/retried", card_text=f"{method} {status}")
    assert fault.times == 0
    assert f"{method} {status}" in loopback.dataset("me/retried").text()


@pytest.mark.parametrize(
    ("method", "pattern", "status", "error", "words"),
    [
        ("POST", "/repos/create", 401, "ConfigError", ["HTTP 401 (no way)", "hf auth login"]),
        ("POST", "/repos/create", 403, "ConfigError", ["HTTP 403", "hf auth login"]),
        ("POST", "/preupload/", 404, "ConfigError", ["HTTP 404", "check the repo id"]),
        ("POST", "/commit/", 412, "HubError", ["HTTP 412", "5 times", "later"]),
        ("POST", "/commit/", 503, "HubError", ["HTTP 503", "5 times", "later"]),
        ("PUT", "/lfs/", 422, "HubError", ["HTTP 422 (no way)"]),
        ("POST", "/commit/", 400, "HubError", ["HTTP 400 (no way)"]),
    ],
)
def test_a_lasting_fault_is_one_clear_line(client, loopback, method, pattern, status, error, words):
    loopback.fail(method, pattern, status, 99, message="no way")
    repo = f"me/fault{status}{pattern.strip('/').replace('/', '')}"
    rows = {"x": [repo]}  # not stored yet, so that it is uploaded
    raised = fails(client, PUSH, repo=repo, rows=rows, options={"card_text": "x"})
    assert raised.name == error
    assert "\n" not in raised.message and repr(repo) in raised.message
    assert [word for word in words if word not in raised.message] == []
    assert raised.causes


def test_a_token_never_appears_in_an_error_or_a_log(client, loopback):
    def refused(token: str) -> ClientError:
        options = {"token": token}
        return fails(
            client, "hub.push(datasets.Dataset.from_dict({'x': [1]}), 'me/s', **o)", o=options
        )

    secrets = (TOKEN, "hf_wrongwrongwrong", "withoutprefix")
    raised = [refused("hf_wrongwrongwrong"), refused("hf_wrongwrongwrong\n")]  # not a header
    for token in secrets:
        loopback.faults.clear()
        loopback.fail("POST", "/repos/create", 400, message=f"bad: {token} hf_ofsomebodyelse")
        raised.append(refused(token))
        assert "***" in raised[-1].message
    assert {error.name for error in raised} == {"ConfigError", "HubError"}
    seen = "".join(error.message + error.traceback for error in raised) + client.log.read_text()
    assert [secret for secret in (*secrets, "hf_ofsomebodyelse") if secret in seen] == []


def test_no_token_is_sent_to_another_host(client, loopback):
    push(client, "me/leak")
    client.run("hub.load_source('me/leak')")
    assert loopback.count("GET", "^/cdn/") > 0
    assert loopback.leaks == []


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("hub.load_source('me/absent')", "DataError", ["me/absent", "save_to_disk", "Hub id"]),
        ("hub.load_source('me/there', split='dev')", "DataError", ["dev", "train", "me/there"]),
        ("hub.load_source('me/there', revision='v9')", "DataError", ["v9", "me/there"]),
        ("hub.load_source('a b')", "DataError", ["'a b'"]),
        ("hub.load_source('a/b/c')", "DataError", ["a/b/c"]),
        ("hub.push({}, 'me/x')", "DataError", ["dict", "DatasetDict"]),
        ("hub.push(datasets.DatasetDict(), 'me/x')", "DataError", ["without splits"]),
        ("hub.push(ds, 'not a repo')", "ConfigError", ["'not a repo'"]),
        ("hub.push(ds, 'me/x', revision='r', create_pr=True)", "ConfigError", ["main", "'r'"]),
        ("hub.push(ds, 'me/x', card_text='---\\na: [\\n---\\n')", "DataError", ["YAML"]),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(client, loopback, code, error, words):
    loopback.put("dataset", "me/there", {"data/train-0.jsonl": '{"a": 1}\n'})
    raised = fails(client, "ds = datasets.Dataset.from_dict({'x': [1]})\n" + code)
    assert raised.name == error, raised.message
    assert "\n" not in raised.message
    assert [word for word in words if word not in raised.message] == []


# --- models ---

MODEL = {
    "config.json": "{}",
    "tokenizer.model": "t",
    "chat_template.jinja": "j",
    "vocab.txt": "v",
    "1_Pooling/config.json": "{}",
    "model.safetensors": b"S" * 1000,
}
OTHERS = {
    "pytorch_model.bin": b"B",
    "training_args.bin": b"T",
    "onnx/model.onnx": b"O",
    "onnx/config.json": "{}",
    "openvino/openvino_model.bin": b"V",
    "tf_model.h5": b"H",
    "flax_model.msgpack": b"F",
    "model-q4.gguf": b"G",
    "checkpoint-5/model.safetensors": b"C",
    "consolidated.safetensors": b"M",
    "README.md": "r",
}
RESOLVE = "result = hub.resolve_model(name, **options)"


def files_in(folder) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def test_a_model_is_downloaded_without_other_runtimes_and_then_served_offline(
    client, loopback, tmp_path
):
    repo = loopback.put("model", "org/model", MODEL | OTHERS)
    folder, sha = client.run(RESOLVE, name="org/model", options={})
    assert sha == repo.refs["main"]
    assert files_in(folder) == set(MODEL)

    absent = {"name": "org/absent", "options": {}}
    missing = fails(client, RESOLVE, **absent)
    loopback.stop()
    try:
        assert client.run(RESOLVE, name="org/model", options={}) == [folder, sha]
        unreachable = fails(client, RESOLVE, **absent)
        source = fails(client, "hub.load_source('me/never')")
        pushed = fails(client, PUSH, repo="me/never", rows={"x": [1]}, options={})
    finally:
        loopback.start()
    assert missing.name == unreachable.name == "ModelError"
    assert "HTTP 404" in missing.message and "hf auth login" in missing.message
    assert "refused" in unreachable.message and "hf download org/absent" in unreachable.message
    assert max(missing.message.count("\n"), unreachable.message.count("\n")) == 1
    assert (source.name, pushed.name) == ("DataError", "HubError")
    assert "me/never" in source.message and "reach" in source.message and "\n" not in source.message
    assert "refused" in pushed.message and "\n" not in pushed.message


def test_offline_mode_uses_the_cache_and_says_so_when_it_is_empty(client, loopback, tmp_path):
    loopback.put("model", "org/cached", MODEL)
    known = client.run(RESOLVE, name="org/cached", options={})
    home = client.run("import os; result = os.environ['HF_HOME']")
    code = (
        "from rbic_hf.hub import resolve_model\nprint(*resolve_model('org/cached'), sep='\\n')\n"
        "try: resolve_model('org/unknown')\nexcept Exception as e: print(type(e).__name__, e)"
    )
    env = {**os.environ, **loopback.env(home), "HF_HUB_OFFLINE": "1"}
    env["PYTHONPATH"] = str(Path(__file__).parents[1])
    before = len(loopback.requests)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True
    )
    assert ran.stdout.splitlines()[:2] == known, ran.stderr
    assert "ModelError" in ran.stdout and "HF_HUB_OFFLINE" in ran.stdout
    assert len(loopback.requests) == before


def test_a_server_error_falls_back_to_the_cache_and_a_pinned_revision_is_found(client, loopback):
    old = loopback.put("model", "org/pinned", MODEL).refs["main"]
    loopback.put("model", "org/pinned", {"config.json": '{"new": 1}'})
    folder, sha = client.run(RESOLVE, name="org/pinned", options={"revision": old})
    assert sha == old and (Path(folder) / "config.json").read_text() == "{}"
    latest = client.run(RESOLVE, name="org/pinned", options={})
    assert latest[1] == loopback.repos["model", "org/pinned"].refs["main"] != old
    loopback.fail("GET", "/api/models/", 503, 99)
    assert client.run(RESOLVE, name="org/pinned", options={}) == latest
    loopback.faults.clear()
    raised = fails(client, RESOLVE, name="org/pinned", options={"revision": "v9"})
    assert raised.name == "ModelError" and "v9" in raised.message


def test_a_cache_without_all_weights_is_not_served(client, loopback):
    loopback.put("model", "org/tokenizer", MODEL)
    client.run("import huggingface_hub as h; h.hf_hub_download('org/tokenizer', 'config.json')")
    loopback.fail("GET", "/api/models/", 503, 99)
    raised = fails(client, RESOLVE, name="org/tokenizer", options={})
    assert raised.name == "ModelError" and "HTTP 503" in raised.message


@pytest.mark.parametrize(
    ("name", "words"), [("org/gguf", "no safetensors"), ("a b", "'a b'"), ("a/b/c", "a/b/c")]
)
def test_a_model_that_cannot_be_loaded_is_refused(client, loopback, name, words):
    loopback.put("model", "org/gguf", {"config.json": "{}", "model.gguf": b"G"})
    raised = fails(client, RESOLVE, name=name, options={})
    assert raised.name == "ModelError" and words in raised.message
    assert raised.message.count("Model ") == 1


@pytest.mark.parametrize(
    ("paths", "weights"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "optimizer.bin"], ["pytorch_model.bin"]),
        (
            ["model.safetensors", "2_Dense/pytorch_model.bin"],
            ["model.safetensors", "2_Dense/pytorch_model.bin"],
        ),
        (["pytorch_model-00001-of-00002.bin"], ["pytorch_model-00001-of-00002.bin"]),
        (["adapter_model.safetensors"], ["adapter_model.safetensors"]),
        (["sub/onnx/model.safetensors", "checkpoint-1/model.safetensors", "a.gguf"], []),
    ],
)
def test_bin_weights_count_only_where_a_folder_has_no_safetensors(paths, weights):
    assert module._weight_files(paths) == weights


def test_the_revision_of_a_folder_changes_with_its_contents_only(tmp_path):
    def model(name: str, config: str, weights: bytes) -> Path:
        folder = tmp_path / name
        (folder / ".cache").mkdir(parents=True)
        (folder / ".cache" / "note").write_text(name)
        (folder / "config.json").write_text(config)
        (folder / "model.safetensors").write_bytes(weights)
        return folder

    large = bytes(5 << 20)
    retrained = bytes(9 << 19) + b"1" * (1 << 19)  # as large, other in its last tenth
    path, revision = module.resolve_model(str(model("a", "{}", large)))
    assert path == str(tmp_path / "a")
    assert len(revision) == len("local-") + 16
    assert module.resolve_model(str(model("b", "{}", large)))[1] == revision
    others = [model("c", "[]", large), model("d", "{}", retrained), model("e", "{}", large + b"1")]
    revisions = {module.resolve_model(str(folder))[1] for folder in others} | {revision}
    assert len(revisions) == 4


@pytest.mark.parametrize("name", ["./absent", "/absent/model", "~/absent-model", "", " "])
def test_a_model_path_that_does_not_exist_is_named(name):
    with pytest.raises(ModelError, match="no model folder"):
        module.resolve_model(name)


def test_a_revision_of_something_local_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'v1'"):
        module.resolve_model(str(tmp_path), revision="v1")
    with pytest.raises(ConfigError, match="'v1'"):
        module.load_source(str(tmp_path), revision="v1")


# --- local sources ---


@pytest.fixture
def cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def lines(*rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", lines({"a": 1}, {"a": 2})),
        ("rows [1]*.jsonl", lines({"a": 1}, {"a": 2})),
        ("rows.json", b'[{"a": 1}, {"a": 2}]'),
        ("rows.csv", b"a\n1\n2\n"),
        ("rows.jsonl.gz", gzip.compress(lines({"a": 1}, {"a": 2}), mtime=0)),
        ("rows.CSV.gz", gzip.compress(b"a\n1\n2\n", mtime=0)),
    ],
)
def test_a_file_gives_a_dataset(cache, name, content):
    (cache / name).write_bytes(content)
    assert module.load_source(str(cache / name)).to_dict() == {"a": [1, 2]}
    assert module.load_source(str(cache / name), split="train").num_rows == 2


def test_parquet_and_saved_folders_give_what_was_stored(cache):
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_dict({"a": [1, 2]})
    rows.to_parquet(str(cache / "rows.parquet"))
    (cache / "shards").mkdir()
    rows.to_parquet(str(cache / "shards" / "train-00000-of-00001.parquet"))
    rows.to_parquet(str(cache / "shards" / "test-00000-of-00001.parquet"))
    rows.save_to_disk(str(cache / "saved"))
    DatasetDict({"dev": rows}).save_to_disk(str(cache / "saved_dict"))

    def load(name, split=None):
        return module.load_source(str(cache / name), split=split)

    assert load("rows.parquet").to_dict() == {"a": [1, 2]}
    assert set(load("shards")) == {"train", "test"}
    assert load("shards", "test").to_dict() == {"a": [1, 2]}
    assert load("saved").to_dict() == load("saved", "train").to_dict() == {"a": [1, 2]}
    assert set(load("saved_dict")) == {"dev"}
    assert load("saved_dict", "dev").num_rows == 2
    for name, accepted in [
        ("saved", "train"),
        ("saved_dict", "dev"),
        ("shards", "train"),
        ("rows.parquet", "train"),
    ]:
        with pytest.raises(DataError, match=rf"{name}.*(nope.*{accepted}|{accepted}.*nope)"):
            load(name, "nope")


def test_an_existing_path_wins_over_a_hub_id(cache, monkeypatch):
    from datasets import Dataset

    Dataset.from_dict({"a": [1]}).save_to_disk(str(cache / "json"))
    monkeypatch.chdir(cache)
    assert module.load_source("json").to_dict() == {"a": [1]}


def test_a_column_of_mixed_types_loads(cache):
    (cache / "mixed.jsonl").write_bytes(lines({"a": 1}, {"a": "x"}, {"a": [2]}))
    assert module.load_source(str(cache / "mixed.jsonl"))["a"][:] == [1, "x", [2]]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.jsonl", b'{"a": 1}\n{"a": 2\n', "JSON parse error"),
        ("late.jsonl", b'{"a": 1}\n' * 30_000 + b'{"a":\n', "JSON parse error"),
        ("deep.jsonl", b'{"a":' + b"[" * 1_000_000 + b"\n", "JSON parse error"),
        ("binary.jsonl", bytes(range(256)) * 99, "JSON parse error"),
        ("surrogate.jsonl", b'{"a": "\\ud800"}\n', "surrogate"),
        ("empty.jsonl", b"", "no rows"),
        ("none.json", b"[]", "no data"),
        ("empty.csv", b"", "No columns"),
        ("bad.parquet", b"PAR1xx", "footer"),
        ("cut.jsonl.gz", gzip.compress(lines({"a": 1}), mtime=0)[:-9], "ended before"),
        ("bad.jsonl.gz", b"\x1f\x8bnothing", "gz"),
        ("rows.txt", b"hello", "accepted: a save_to_disk folder"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_that_says_why(cache, name, content, words):
    (cache / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        module.load_source(str(cache / name))
    message = str(caught.value)
    assert words in message and name in message
    assert "\n" not in message and len(message) < 900
    assert name == "rows.txt" or caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "source", ["./absent", "/absent/x", "~/absent", "rows.parquet", "a/rows.JSONL.gz", "", "  "]
)
def test_a_path_that_does_not_exist_is_named(source):
    with pytest.raises(DataError, match="no file or folder") as caught:
        module.load_source(source)
    assert repr(source) in str(caught.value)


def test_a_folder_without_data_is_refused(cache):
    (cache / "code").mkdir()
    (cache / "code" / "main.txt").write_text("hello")
    with pytest.raises(DataError, match="code"):
        module.load_source(str(cache / "code"))
    (cache / "code" / "state.json").write_text("{")
    with pytest.raises(DataError, match="Cannot load"):
        module.load_source(str(cache / "code"))


# --- cards ---

HEAD = "---\nconfigs: 1\n---\n"
BLOCK = "<!-- rbic:start -->\nnew\n<!-- rbic:end -->"


@pytest.mark.parametrize(
    ("body", "ours", "merged"),
    [
        ("", "new", f"\n{BLOCK}\n"),
        ("  \n", "new", f"\n{BLOCK}\n"),
        ("Mine.\n", "new", f"Mine.\n\n{BLOCK}\n"),
        ("A\n<!-- rbic:start -->old<!-- rbic:end -->\nB", "new", f"A\n{BLOCK}\nB"),
        ("<!-- rbic:start -->\nold, no end\nMine.", "new", "{body}\n\n" + BLOCK + "\n"),
        ("<!-- rbic:end -->Mine.", "new", "{body}\n\n" + BLOCK + "\n"),
        ("<!-- rbic:end -->Mine.<!-- rbic:start -->", "new", "{body}\n\n" + BLOCK + "\n"),
        (
            "<!-- rbic:start -->Mine.<!-- rbic:start -->old<!-- rbic:end -->",
            "new",
            f"<!-- rbic:start -->Mine.{BLOCK}",
        ),
        ("", f"# Title\n{BLOCK}\nFoot", f"\n# Title\n\n{BLOCK}\n\nFoot\n"),
        ("Mine.", f"# Title\n{BLOCK}\nFoot", f"Mine.\n\n{BLOCK}\n"),
        ("", "n<!-- rbic:end -->e<!-- rbic:start -->w", f"\n{BLOCK}\n"),
    ],
)
def test_only_the_marked_part_of_a_body_is_ours(body, ours, merged):
    merged = merged.replace("{body}", body)
    assert hub_cards.merge_card(HEAD + body, ours) == HEAD + merged
    assert hub_cards._merge_body(merged, ours) == merged  # a second push changes nothing


@pytest.mark.parametrize(
    ("theirs", "ours", "merged"),
    [
        ({"license": "mit"}, {"license": "apache-2.0"}, {"license": "mit"}),
        ({}, {"license": "mit", "language": ["en"]}, {"license": "mit", "language": ["en"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "c"]}, {"tags": ["a", "b", "c"]}),
        ({"configs": [1]}, {"configs": [2], "dataset_info": {}}, {"configs": [1]}),
        ({"size_categories": ["n<1K"]}, {"size_categories": ["1K<n<10K"]}, "ours"),
        ({"odd-key": {"x": [1, {"y": "é"}]}}, {}, {"odd-key": {"x": [1, {"y": "é"}]}}),
    ],
)
def test_a_persons_metadata_wins(theirs, ours, merged):
    def card(metadata):
        return f"---\n{json.dumps(metadata)}\n---\nBody\n"

    result, _ = hub_cards.split_card(hub_cards.merge_card(card(theirs), card(ours)))
    assert result == (ours if merged == "ours" else merged)


def test_importing_the_module_loads_no_client():
    code = "import rbic_hf.hub, sys; print({'datasets', 'huggingface_hub'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr
