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
from rbic_hf.model_folders import folder_revision
from rbic_hf.probers.chat_template import PromptTokens
from rbic_hf.protocols import CUT, ENDED, FAILED, MAX_IN_FLIGHT, ChatMessage, Probed, Sample

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
        revision: commit or content hash, for the cache key; "": made from the folder's contents.
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
        folder: str | Path,
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
            "revision": revision or folder_revision(folder),
            "engine": "vllm",
            "version": VERSION,
            "temperature": temperature,
            "top_p": top_p,
            "max_new_tokens": max_new_tokens or 1024,
            "max_prompt_tokens": max_prompt_tokens,
            "engine_args": dict(engine_args or {}),
        }
        self.max_in_flight = max_in_flight
        self._folder = str(folder)
        self._prompts: PromptTokens | None = None
        self._python = python or sys.executable
        self._engine: _Engine | None = None

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> Iterator[Probed]:
        """Yield (place, `n` samples) as prompts finish; None where the prompt is too long.

        Raises:
            ModelError: vLLM is not installed, or its process ended; its last words are quoted.
        """
        tokens = self._tokens()
        fits = [len(tokens.of(prompt)) <= tokens.longest for prompt in prompts]
        yield from ((place, None) for place, fit in enumerate(fits) if not fit)
        waiting = (place for place, fit in enumerate(fits) if fit)
        num_left, num_open = sum(fits), 0
        try:
            while num_left:
                while num_open < self.max_in_flight and (place := next(waiting, None)) is not None:
                    ids = tokens.of(prompts[place])
                    asked = {"id": place, "prompt": ids, "n": n, "seed": seeds[place]}
                    self._started(tokens.longest).send(asked)
                    num_open += 1
                reply = self._started(tokens.longest).receive()
                num_open, num_left = num_open - 1, num_left - 1
                yield reply["id"], [_sample(*sample) for sample in reply["samples"]]
        finally:
            if num_open:  # left early: the engine must not go on with what nobody waits for
                self.close()

    def close(self) -> None:
        """End the engine's process; the next prompt starts another one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _tokens(self) -> PromptTokens:
        if self._prompts is None:
            self._prompts = PromptTokens(
                self._folder,
                name=self.spec["prober"],
                max_new_tokens=self.spec["max_new_tokens"],
                max_prompt_tokens=self.spec["max_prompt_tokens"],
            )
        return self._prompts

    def _started(self, longest_prompt: int) -> _Engine:
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
                    "longest_prompt": longest_prompt,
                },
            )
        return self._engine

    def __enter__(self) -> VllmProber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sample(text: str, reason: str | None, num_tokens: int) -> Sample:
    return Sample(text, reason if reason in (ENDED, CUT) else FAILED, num_tokens)


class _Engine:
    """The process and its pipes."""

    def __init__(self, python: str, setup: Mapping[str, Any]) -> None:
        first_line = json.dumps(setup)  # before there is a process that it could leave behind
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
        try:
            self._write(first_line)
            self.receive()
        except BaseException:  # Ctrl-C in the minutes of loading, too
            self.close()
            raise

    def send(self, message: Mapping[str, Any]) -> None:
        self._write(json.dumps(message))

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died: `receive` says of what
            self._process.stdin.write(line.encode("ascii") + b"\n")
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
        if "No module named 'vllm'" in text:
            return INSTALL.format(python=self._process.args[0])  # type: ignore[index]
        # The cause comes first in vLLM's log, under a long trace of its processes.
        causes = [line for line in text.splitlines() if "Error: " in line]
        lines = causes[:2] + text.splitlines()[-_LAST_WORDS:]
        return "the vLLM engine ended:\n" + "\n".join(line[-300:] for line in lines)
