"""The store keeps what was flushed through kills, races and damage, and computes nothing twice."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf import ConfigError
from rbic_hf.store import Store, content_key, default_cache_dir, spec_key


def put(store: Store, **results: int) -> None:
    store.add(list(results), {"value": pa.array(list(results.values()), pa.int64())})


def get(store: Store, *keys: str) -> dict[str, int]:
    known, table = store.find(keys)
    values = [] if table is None else table["value"].to_pylist()
    return dict(
        zip([k for k, found in zip(keys, known, strict=True) if found], values, strict=True)
    )


def test_results_are_found_in_the_order_of_the_keys(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, a=1, b=2, c=3)
    store.flush()
    put(store, d=4)  # not flushed yet, found all the same
    known, table = store.find(["d", "x", "b", "d", "a"])
    assert known.tolist() == [True, False, True, True, True]
    assert table is not None and table["value"].to_pylist() == [4, 2, 4, 1]


def test_an_empty_store_and_an_empty_question_find_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known, table = store.find(["a", "b"])
    assert known.tolist() == [False, False] and table is None
    put(store, a=1)
    known, table = store.find([])
    assert known.tolist() == [] and table is None


def test_another_process_finds_what_was_flushed_and_only_that(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, a=1)
    store.flush()
    put(store, b=2)
    assert get(Store(tmp_path), "a", "b") == {"a": 1}
    store.flush()
    assert get(Store(tmp_path), "a", "b") == {"a": 1, "b": 2}


def test_leaving_the_store_flushes_even_when_the_work_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), Store(tmp_path) as store:
        put(store, a=1)
        raise RuntimeError("boom")
    assert get(Store(tmp_path), "a") == {"a": 1}


def test_results_older_than_the_flush_interval_are_written_at_the_next_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    put(store, a=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("rbic_hf.store.FLUSH_SECONDS", -1.0)
    put(store, b=2)
    assert get(Store(tmp_path), "a", "b") == {"a": 1, "b": 2}
    assert len(list(tmp_path.iterdir())) == 1


def test_the_first_of_two_results_for_one_key_stays(tmp_path: Path) -> None:
    for value in (1, 2):
        with Store(tmp_path) as store:
            put(store, a=value)
    assert get(Store(tmp_path), "a") == {"a": 1}


def test_without_a_folder_results_live_in_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(None)
    put(store, a=1)
    store.flush()
    put(store, b=2)
    assert get(store, "a", "b") == {"a": 1, "b": 2}
    assert get(Store(None), "a") == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "spec"), [(None, {"a": 1}), ("cache", None)])
def test_a_stage_without_folder_or_spec_writes_nothing(tmp_path: Path, folder, spec) -> None:
    with Store.open(tmp_path / folder if folder else None, "stage", spec) as store:
        put(store, a=1)
    assert list(tmp_path.iterdir()) == []


def test_stages_and_specs_do_not_see_each_others_results(tmp_path: Path) -> None:
    with Store.open(tmp_path, "one", {"model": "m", "n": 4}) as store:
        put(store, a=1)
    assert get(Store.open(tmp_path, "one", {"n": 4, "model": "m"}), "a") == {"a": 1}
    assert get(Store.open(tmp_path, "one", {"model": "m", "n": 8}), "a") == {}
    assert get(Store.open(tmp_path, "two", {"model": "m", "n": 4}), "a") == {}


WRITER = """
    import sys, time
    from pathlib import Path
    import pyarrow as pa
    from rbic_hf.store import Store
    store = Store(Path(sys.argv[1]))
    for i in range(int(sys.argv[3])):
        store.add([f"{sys.argv[2]}{i}"], {"value": pa.array([i], pa.int64())})
        store.flush()
        print(i, flush=True)
    if sys.argv[4] == "stay":
        store.add(["unflushed"], {"value": pa.array([0], pa.int64())})
        print("waiting", flush=True)
        time.sleep(120)
"""


def writer(folder: Path, name: str, count: int, end: str) -> subprocess.Popen[str]:
    code = textwrap.dedent(WRITER)
    command = [sys.executable, "-c", code, str(folder), name, str(count), end]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can kill")
def test_a_killed_writer_loses_only_what_it_had_not_flushed(tmp_path: Path) -> None:
    with writer(tmp_path, "k", 5, "stay") as process:
        assert process.stdout is not None
        while process.stdout.readline() != "waiting\n":
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    store = Store(tmp_path)
    assert get(store, *[f"k{i}" for i in range(5)]) == {f"k{i}": i for i in range(5)}
    assert get(store, "unflushed") == {}
    put(store, unflushed=7)
    store.flush()
    assert get(Store(tmp_path), "unflushed", "k4") == {"unflushed": 7, "k4": 4}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can kill")
def test_a_writer_killed_at_any_moment_leaves_only_readable_parts(tmp_path: Path, caplog) -> None:
    with writer(tmp_path, "k", 100_000, "go") as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(30)]
        os.kill(process.pid, signal.SIGKILL)
    assert said[-1] == "29\n"
    caplog.clear()
    assert len(get(Store(tmp_path), *[f"k{i}" for i in range(30)])) == 30
    assert caplog.records == []


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 40, "go") for name in "ab"]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    keys = [f"{name}{i}" for name in "ab" for i in range(40)]
    assert len(get(Store(tmp_path), *keys)) == 80
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut in half"])
def test_a_damaged_part_is_named_and_its_results_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    for key in ("a", "b"):
        with Store(tmp_path) as store:
            put(store, **{key: 1})
    broken = sorted(tmp_path.glob("*.parquet"))[0]
    whole = broken.read_bytes()
    broken.write_bytes(
        {"empty": b"", "garbage": b"x" * 999, "cut in half": whole[: len(whole) // 2]}[damage]
    )
    with caplog.at_level(logging.WARNING, logger="rbic_hf"):
        store = Store(tmp_path)
    assert get(store, "a", "b") == {"b": 1}
    assert [str(broken) in record.getMessage() for record in caplog.records] == [True]
    put(store, a=5)
    store.flush()
    assert get(Store(tmp_path), "a", "b") == {"a": 5, "b": 1}


def test_an_unfinished_part_is_not_read(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        put(store, a=1)
    (tmp_path / ".0001-abc.tmp").write_bytes(b"half")
    assert get(Store(tmp_path), "a") == {"a": 1}


def test_results_of_other_types_are_refused_before_they_spoil_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        put(store, a=1)
    other = Store(tmp_path)
    with pytest.raises(ConfigError, match=r"value: string.*value: int64.*another spec"):
        other.add(["b"], {"value": pa.array(["text"])})
    other.flush()
    assert get(Store(tmp_path), "a", "b") == {"a": 1}


def test_vectors_and_lists_and_missing_values_come_back_as_they_were(tmp_path: Path) -> None:
    vectors = np.array([[1, np.nan, -0.0], [3, 4, 5]], np.float32)
    columns = {
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3),
        "texts": pa.array([["a", "二\x00"], None], pa.list_(pa.string())),
        "cut": pa.array([None, True], pa.bool_()),
    }
    with Store(tmp_path) as store:
        store.add(["a", "b"], columns)
    with Store(tmp_path) as store:  # another part of the same types goes beside it
        store.add(["c", "d"], columns)
    _, table = Store(tmp_path).find(["d", "c", "a"])
    assert table is not None
    found = table["vector"].combine_chunks().flatten().to_numpy().reshape(3, 3)
    np.testing.assert_array_equal(found, vectors[[1, 0, 0]])
    assert table["texts"].to_pylist() == [None, ["a", "二\x00"], ["a", "二\x00"]]
    assert table["cut"].to_pylist() == [True, None, None]


def test_a_folder_whose_name_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "run=3"
    with Store(folder) as store:
        put(store, a=1)
    _, table = Store(folder).find(["a"])
    assert table is not None and table.column_names == ["key", "value"]


@given(st.lists(st.text(max_size=6), max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_different_parts_have_different_keys(first: list[str], second: list[str]) -> None:
    assert (content_key(*first) == content_key(*second)) == (first == second)


@pytest.mark.parametrize(
    "text", ["", "\x00", "\ud800", "\ud83d\ude00", "é", "e\u0301", "x" * 10**6]
)
def test_any_text_has_a_key_of_32_hex_digits(text: str) -> None:
    key = content_key(text)
    assert len(key) == 32 and set(key) <= set("0123456789abcdef")
    assert key == content_key(text) != content_key(text, "")


def test_where_one_text_ends_and_the_next_begins_matters() -> None:
    keys = [content_key(*p) for p in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"))]
    assert len(set(keys)) == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_a_specs_key_does_not_depend_on_order(spec: dict[str, object]) -> None:
    assert spec_key(spec) == spec_key(dict(reversed(spec.items())))
    assert spec_key(spec) != spec_key({**spec, "one more": 1})


@pytest.mark.parametrize("other", [{"n": 5}, {"n": "4"}, {"m": 4}, {"n": [4]}, {"n": True}, {}])
def test_a_changed_spec_has_another_key(other: dict[str, object]) -> None:
    assert spec_key({"n": 4}) != spec_key(other)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"RBIC_CACHE": "/some/where", "HF_HOME": "/hf"}, "/some/where"),
        ({"RBIC_CACHE": "~/where"}, "/home/me/where"),
        ({"HF_HOME": "/hf", "XDG_CACHE_HOME": "/xdg"}, "/hf/rbic"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/rbic"),
        ({}, "/home/me/.cache/huggingface/rbic"),
    ],
)
def test_the_cache_lies_where_it_is_named_or_beside_the_hugging_face_caches(
    settings: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RBIC_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert default_cache_dir() == Path(expected)


def test_results_are_added_while_another_process_takes_its_parts_away(tmp_path: Path) -> None:
    other = Store(tmp_path)
    for key in "ab":
        put(other, **{key: 1})
        other.flush()
    store = Store(tmp_path)
    other.__exit__()  # makes one part of its two
    put(store, c=3)
    store.flush()
    assert get(store, "a", "b", "c") == {"a": 1, "b": 1, "c": 3}
    assert get(Store(tmp_path), "a", "b", "c") == {"a": 1, "b": 1, "c": 3}


def test_many_small_parts_become_one(tmp_path: Path) -> None:
    for start in (0, 50):
        with Store(tmp_path) as store:
            for i in range(start, start + 50):
                put(store, **{f"k{i}": i})
                store.flush()
    assert len(list(tmp_path.glob("*.parquet"))) == 2  # one of each run
    assert get(Store(tmp_path), "k3", "k77") == {"k3": 3, "k77": 77}


def test_a_part_whose_values_are_damaged_is_set_aside(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        put(store, **{f"k{i}": i for i in range(1000)})
    [part] = tmp_path.glob("*.parquet")
    store = Store(tmp_path)
    part.write_bytes(b"not parquet")
    assert get(store, "k1") == {}
    assert store.num_damaged == 1
    assert store.known(["k1"]).tolist() == [False]
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]


def test_a_damaged_part_that_cannot_be_renamed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        put(store, **{f"k{i}": i for i in range(1000)})
    store = Store(tmp_path)

    def fails(*_: object) -> None:
        raise PermissionError("read-only")

    def damaged(part: object) -> object:
        raise OSError("not a Parquet file")

    monkeypatch.setattr("rbic_hf.store.os.replace", fails)
    monkeypatch.setattr("rbic_hf.store._Part.tables", damaged)
    assert get(store, "k1") == {}
    assert store.num_damaged == 1
    assert store.known(["k1"]).tolist() == [False]
