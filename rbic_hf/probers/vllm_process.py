"""Rollouts with vLLM, in a process of its own.

The engine may run under another Python than this one (`python=`): vLLM pins torch and transformers.
When it is closed its GPU memory is free again, and when it dies the run ends with its last words.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from rbic_hf.errors import ModelError
from rbic_hf.protocols import MAX_IN_FLIGHT, ChatMessage, Probed, Sample

VERSION = 1

_SCRIPT = Path(__file__).with_name("vllm_engine.py")
_LAST_WORDS = 12  # lines of the engine's log in an error
INSTALL = (
    "vLLM is not installed for {python}; pip install 'rbic-hf[vllm]' there, name a Python that has "
    "it with VllmProber(python=...), or start `vllm serve` and give its address as the prober"
)


class VllmProber:
    """Samples from a model in a local folder with vLLM; the engine starts at the first prompt.

    The same prompt, seed and batch give the same text on a CPU. On a GPU another batch can flip a
    near-tie unless vLLM runs in its batch-invariant mode.

    Args:
        folder: where the model lies, as safetensors.
        name: what the model is called in cache keys and messages.
        revision: commit or content hash, for the cache key.
        temperature: sampling temperature, > 0.
        top_p: nucleus, in (0, 1].
        max_new_tokens: longest rollout; None: 1024.
        max_prompt_tokens: longer prompts are not probed.
        max_in_flight: prompts in the engine at once: what a kill may lose. More can be faster on a
            large GPU.
        engine_args: more arguments of `vllm.LLM`, such as `{"tensor_parallel_size": 2}`.
        python: the interpreter that has vLLM; None: this one.
    """

    def __init__(
        self,
        folder: str,
        *,
        name: str | None = None,
        revision: str = "",
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        max_prompt_tokens: int = 2048,
        max_in_flight: int = MAX_IN_FLIGHT,
        engine_args: Mapping[str, Any] | None = None,
        python: str | None = None,
    ) -> None:
        self.spec: Mapping[str, Any] = {
            "prober": name or Path(folder).name,
            "revision": revision,
            "engine": "vllm",
            "version": VERSION,
            "temperature": temperature,
            "top_p": top_p,
            "max_new_tokens": max_new_tokens or 1024,
            "max_prompt_tokens": max_prompt_tokens,
            "engine_args": dict(engine_args or {}),
        }
        self.max_in_flight = max_in_flight
        self._folder = folder
        self._python = python or sys.executable
        self._engine: _Engine | None = None

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> Iterator[Probed]:
        """Yield (place, `n` samples) as prompts finish; None where the prompt is too long.

        Raises:
            ModelError: vLLM is not installed, or its process ended; its last words are quoted.
        """
        engine = self._started()
        waiting = iter(zip(range(len(prompts)), prompts, seeds, strict=True))
        num_open = 0
        try:
            for _ in range(len(prompts)):
                while num_open < self.max_in_flight and (one := next(waiting, None)) is not None:
                    place, messages, seed = one
                    engine.send({"id": place, "messages": messages, "n": n, "seed": seed})
                    num_open += 1
                reply = engine.receive()
                num_open -= 1
                samples = reply["samples"]
                yield reply["id"], None if samples is None else [Sample(*s) for s in samples]
        finally:
            if num_open:  # left early: the engine must not go on with what nobody waits for
                self.close()

    def close(self) -> None:
        """End the engine's process; the next prompt starts another one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _started(self) -> _Engine:
        if self._engine is None:
            self._engine = _Engine(
                self._python,
                {
                    "engine": {"model": self._folder, **self.spec["engine_args"]},
                    "sampling": {
                        "temperature": self.spec["temperature"],
                        "top_p": self.spec["top_p"],
                        "max_tokens": self.spec["max_new_tokens"],
                    },
                    "max_prompt_tokens": self.spec["max_prompt_tokens"],
                },
            )
        return self._engine

    def __enter__(self) -> VllmProber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Engine:
    """The process and its pipes."""

    def __init__(self, python: str, setup: Mapping[str, Any]) -> None:
        # On disk, not a pipe: nobody has to read it while the engine works.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [python, str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is this process's business, and one kill ends all
            )
        except OSError as error:
            self._log.close()
            raise ModelError(f"cannot start {python!r}: {error}") from error
        self.send(setup)
        ready = self.receive()["ready"]
        if ready["longest_prompt"] < 1:
            self.close()
            raise ModelError("max_new_tokens leaves no room for a prompt in the model's window")

    def send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died: `receive` says of what
            self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
            self._process.stdin.flush()

    def receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            return json.loads(line)
        self._kill()
        raise ModelError(self._last_words())

    def close(self) -> None:
        self._kill()
        self._log.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        text = self._log.read().decode("utf-8", "replace")
        self._log.close()
        if "No module named 'vllm'" in text:
            return INSTALL.format(python=self._process.args[0])  # type: ignore[index]
        # The cause comes first in vLLM's log, under a long trace of its processes.
        causes = [line for line in text.splitlines() if "Error: " in line]
        lines = causes[:2] + text.splitlines()[-_LAST_WORDS:]
        return "the vLLM engine ended:\n" + "\n".join(line[-300:] for line in lines)
