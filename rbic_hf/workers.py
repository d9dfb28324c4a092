"""Calls one function on many items in worker processes that can be killed.

Signals do not work in threads and cannot stop a long computation in C, so the limit is a killed
process. The workers are started as `python -c`, not by `multiprocessing`: nothing of the caller's
`__main__` is imported again, so a notebook or a script without a main guard is safe.
Requests and replies are lines of JSON; nothing received is ever executed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rbic_hf.errors import ModelError

_START_S = 120.0  # imports on a busy machine take long, and say nothing about an item
_ORPHAN_S = 30  # a worker whose parent is gone stops itself this long after the item's limit
_ITEMS_PER_WORKER = 16  # starting a worker costs as much as some hundred items
_ITEMS_BEFORE_RETIRING = 5000  # caches of the libraries grow; a fresh process forgets them
_BOOT = "from rbic_hf.workers import _serve; _serve()"


class WorkerPool:
    """Worker processes that are started when needed, reused by later calls, killed when late."""

    def __init__(
        self, function: str, *, warm_up: Sequence[Any] | None = None, memory_bytes: int = 1 << 30
    ) -> None:
        """Prepare a pool; no process is started before the first `map`.

        Args:
            function: "module:name" of a function whose arguments and result are JSON values.
            warm_up: arguments of one call at start-up, so that imports do not count as an item.
            memory_bytes: what a worker may allocate on top of what it needs to start; a system
                without `resource` has no such limit.
        """
        self._setup = [function, None if warm_up is None else list(warm_up), memory_bytes]
        self._idle: list[_Worker] = []
        self._inherited: list[_Worker] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()
        # weakly: a pool that nobody uses any more ends its workers, not only at exit
        atexit.register(_close, weakref.ref(self))

    def map(self, items: Sequence[Sequence[Any]], *, timeout_s: float, num_proc: int) -> list[Any]:
        """Return `function(*item)` of each item, in order.

        None = the call raised, ran longer than `timeout_s`, or killed its worker; the other
        items are not affected. Raises ModelError when a worker cannot be started.
        """
        self._notice_fork()
        run = _Run(items, timeout_s)
        num_workers = max(1, min(num_proc, -(-len(items) // _ITEMS_PER_WORKER)))
        drivers = [
            threading.Thread(target=self._drive, args=(run,), daemon=True)
            for _ in range(num_workers if items else 0)
        ]
        try:
            for driver in drivers:
                driver.start()
            for driver in drivers:
                driver.join()
        finally:  # also on KeyboardInterrupt: no worker outlives the call that failed
            run.stop()
            for driver in drivers:
                if driver.is_alive():
                    driver.join()
        if run.error is not None:
            raise run.error
        return run.results

    def close(self) -> None:
        """Kill the idle workers; a later `map` starts new ones."""
        if self._pid == os.getpid():
            with self._lock:
                idle, self._idle = self._idle, []
            for worker in idle:
                worker.dispose()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _notice_fork(self) -> None:
        """After a fork the idle workers are the parent's: two readers would mix the replies."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
            self._inherited, self._idle = self._idle, []

    def _drive(self, run: _Run) -> None:
        """Feed one worker with items until none is left, replacing it when it dies."""
        worker: _Worker | None = None
        try:
            while (index := run.next_item()) is not None:
                worker = worker or self._take(run)
                run.results[index] = worker.call(run.items[index], run.timeout_s)
                if not worker.is_usable():
                    run.leave(worker)
                    worker = None
        except Exception as error:  # raised again in the thread that called `map`
            run.error = run.error or error
            run.stop()
        finally:
            if worker is not None:
                run.leave(worker, self)

    def _take(self, run: _Run) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_usable():
                    return run.enter(worker)
                worker.dispose()
        worker = run.enter(_Worker())
        try:
            worker.start(self._setup)
        except ModelError:
            run.leave(worker)
            raise
        return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)


def _close(pool: weakref.ref[WorkerPool]) -> None:
    if (living := pool()) is not None:
        living.close()


@dataclass
class _Run:
    """One `map` call: what is left to do, what came out, who works on it."""

    items: Sequence[Sequence[Any]]
    timeout_s: float
    results: list[Any] = field(init=False)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.results = [None] * len(self.items)
        self._todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stopped = False
        self._busy: list[_Worker] = []
        self._lock = threading.Lock()
        for index in range(len(self.items)):
            self._todo.put(index)

    def next_item(self) -> int | None:
        try:
            return None if self._stopped else self._todo.get_nowait()
        except queue.Empty:
            return None

    def enter(self, worker: _Worker) -> _Worker:
        with self._lock:
            self._busy.append(worker)
            if self._stopped:
                worker.kill()
        return worker

    def leave(self, worker: _Worker, pool: WorkerPool | None = None) -> None:
        """Take the worker off this run: back to the pool when it can work on, else killed."""
        with self._lock:
            self._busy.remove(worker)
            stopped = self._stopped
        if pool is None or stopped or not worker.is_usable():
            worker.dispose()
        else:
            pool._give_back(worker)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            busy = list(self._busy)
        for worker in busy:
            worker.kill()


class _Worker:
    """One process, one item at a time."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        paths = [os.path.abspath(path) for path in sys.path if isinstance(path, str)]
        # A fixed hash seed: the order of sets inside the libraries must not change a result.
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=root,
                env=env,
            )
        except OSError as error:
            raise ModelError(f"no worker process could be started: {error}") from error
        self._num_calls = 0
        self._killed = False
        self._dying = threading.Lock()

    def start(self, setup: Sequence[Any]) -> None:
        reply = self._ask(setup, _START_S)
        if reply != "ready":
            raise ModelError(f"a worker for {setup[0]} did not start: {reply or 'it died'}")

    def call(self, arguments: Sequence[Any], timeout_s: float) -> Any:
        self._num_calls += 1
        return self._ask([timeout_s, list(arguments)], timeout_s)

    def is_usable(self) -> bool:
        alive = not self._killed and self._process.poll() is None
        return alive and self._num_calls < _ITEMS_BEFORE_RETIRING

    def kill(self) -> None:
        """End the process and reap it; safe to call twice and from another thread."""
        with self._dying:
            self._killed = True
            self._process.kill()
            self._process.wait()

    def dispose(self) -> None:
        """Kill the process and close its pipes; only for the thread that owns the worker."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent has no reader
                    pipe.close()

    def _ask(self, message: Any, timeout_s: float) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        request = json.dumps(message).encode("ascii") + b"\n"
        timer = threading.Timer(timeout_s, self.kill)
        timer.daemon = True
        timer.start()
        line = b""
        with contextlib.suppress(OSError):  # a dead reader
            stdin.write(request)
            stdin.flush()
            line = stdout.readline()
        timer.cancel()
        timer.join()  # from here on a late timer cannot kill the worker under the next item
        if line.endswith(b"\n"):
            return json.loads(line)
        self.kill()
        return None


def _serve() -> None:
    """Answer requests from standard input until it ends; the body of a worker process."""
    requests, replies = _take_pipes()
    name, warm_up, memory_bytes = json.loads(requests.readline())
    try:
        module, _, attribute = name.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        if warm_up is not None:
            function(*warm_up)
    except Exception as error:
        _reply(replies, f"{type(error).__name__}: {error}")
        return
    _limit_memory(memory_bytes)
    _reply(replies, "ready")
    for line in requests:
        timeout_s, arguments = json.loads(line)
        _set_alarm(int(timeout_s) + _ORPHAN_S)
        try:
            result = function(*arguments)
        except MemoryError:
            os._exit(1)  # what is left of the heap is not worth keeping
        except Exception:
            result = None
        _set_alarm(0)
        _reply(replies, result)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep standard input and output for the protocol; a library that prints meets devnull."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    return requests, replies


def _reply(replies: IO[bytes], value: Any) -> None:
    replies.write(json.dumps(value).encode("ascii") + b"\n")
    replies.flush()


def _set_alarm(seconds: int) -> None:
    """Let the system end this process after `seconds`, whatever it is doing; 0 = never."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _limit_memory(num_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    in_use = 0
    with contextlib.suppress(OSError, ValueError):
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (in_use + num_bytes, in_use + num_bytes))
