"""Workers are killed, replaced, reused and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rbic_hf.errors import ModelError
from rbic_hf.workers import WorkerPool

ROOT = Path(__file__).resolve().parent.parent
posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    """Run a plain script, as a user would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_results_come_back_in_the_order_of_the_items():
    items = [(number, 2) for number in range(40)]
    expected = [number**2 for number in range(40)]
    for num_proc in (1, 3):
        pool = WorkerPool("operator:pow")
        assert pool.map(items, timeout_s=60, num_proc=num_proc) == expected
        pool.close()


def test_no_items_start_no_worker():
    assert WorkerPool("no_such_module:f").map([], timeout_s=1, num_proc=2) == []


def test_an_item_that_is_late_is_none_and_its_neighbours_are_answered():
    pool = WorkerPool("operator:pow")
    items = [(2, 3), (9, 9**9), (3, 2)]
    assert pool.map(items, timeout_s=1, num_proc=1) == [8, None, 9]
    pool.close()


def test_an_item_that_raises_is_none():
    pool = WorkerPool("operator:truediv")
    items = [(1, 0), ("a", 1), (), (4, 2)]
    assert pool.map(items, timeout_s=60, num_proc=1) == [None, None, None, 2.0]
    pool.close()


@pytest.mark.parametrize("function", ["os:_exit", "sys:exit"])
def test_a_worker_that_dies_is_replaced(function: str):
    pool = WorkerPool(function)
    assert pool.map([(0,), (1,), (3,)], timeout_s=60, num_proc=1) == [None, None, None]
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce the limit")
def test_a_worker_that_asks_for_too_much_memory_is_none():
    pool = WorkerPool("operator:mul", memory_bytes=1 << 27)
    items = [("ab", 2), ("a", 1 << 29), ("b", 3)]
    assert pool.map(items, timeout_s=60, num_proc=1) == ["abab", None, "bbb"]
    pool.close()


def test_a_function_that_prints_does_not_disturb_the_replies():
    pool = WorkerPool("builtins:print")
    assert pool.map([('{"x": 1}',), ("ready",)], timeout_s=60, num_proc=1) == [None, None]
    sizes = WorkerPool("builtins:len", warm_up=["x"])
    assert sizes.map([("\x00\ud800\n",)], timeout_s=60, num_proc=1) == [3]
    pool.close()
    sizes.close()


def test_a_function_that_cannot_be_loaded_says_so():
    with pytest.raises(ModelError, match="no_such_module"):
        WorkerPool("no_such_module:f").map([()], timeout_s=60, num_proc=1)
    with pytest.raises(ModelError, match="divis"):
        WorkerPool("operator:truediv", warm_up=[1, 0]).map([(1, 1)], timeout_s=60, num_proc=1)


def test_a_later_call_uses_the_same_worker():
    pool = WorkerPool("os:getpid")
    first = pool.map([()], timeout_s=60, num_proc=1)
    assert pool.map([(), ()], timeout_s=60, num_proc=1) == first * 2
    assert first != [os.getpid()]
    pool.close()
    assert pool.map([()], timeout_s=60, num_proc=1) != first
    pool.close()


def test_few_items_start_one_worker():
    pool = WorkerPool("os:getpid")
    assert len(set(pool.map([()] * 16, timeout_s=60, num_proc=8))) == 1
    pool.close()


def test_two_threads_may_share_a_pool():
    pool = WorkerPool("operator:pow")
    results: dict[int, list[int]] = {}

    def work(base: int) -> None:
        items = [(base, power) for power in range(20)]
        results[base] = pool.map(items, timeout_s=60, num_proc=1)

    threads = [threading.Thread(target=work, args=(base,)) for base in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {base: [base**power for power in range(20)] for base in (2, 3)}
    pool.close()


NO_CHILDREN = """
import os
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no children")
"""


@posix_only
def test_a_script_without_a_main_guard_runs_once_and_leaves_no_process():
    done = run_script(
        "from rbic_hf.workers import WorkerPool\nprint('started')\n"
        "pool = WorkerPool('operator:pow')\n"
        "print(pool.map([(2, 5), (9, 9**9)], timeout_s=1, num_proc=2))\npool.close()\n"
        + NO_CHILDREN
    )
    assert done.stdout.split("\n") == ["started", "[32, None]", "no children", ""]
    assert done.stderr == ""


@posix_only
def test_an_interrupt_ends_the_call_and_its_workers():
    done = run_script(
        "import signal\nfrom rbic_hf.workers import WorkerPool\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, interrupt)\nsignal.alarm(2)\n"
        "try:\n    WorkerPool('time:sleep').map([(100,)] * 40, timeout_s=100, num_proc=2)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n" + NO_CHILDREN
    )
    assert done.stdout.split("\n") == ["interrupted", "no children", ""], done.stderr


@posix_only
def test_a_fork_does_not_read_the_replies_of_its_parent():
    done = run_script(
        "import os\nfrom rbic_hf.workers import WorkerPool\npool = WorkerPool('os:getpid')\n"
        "[first] = pool.map([()], timeout_s=60, num_proc=1)\nif os.fork() == 0:\n"
        "    [other] = pool.map([()], timeout_s=60, num_proc=1)\n    pool.close()\n"
        "    os._exit(0 if other != first else 1)\n_, status = os.wait()\n"
        "print(status, pool.map([()], timeout_s=60, num_proc=1) == [first])\n"
    )
    assert done.stdout == "0 True\n", done.stderr
