"""The process around a vLLM engine: prompts come in as lines of JSON, rollouts go out as lines.

It is run as a file and imports only vllm and the standard library, so that it also runs under a
Python that has no rbic_hf: vLLM pins torch and transformers, and must not pin the user's.
`LLM.chat` returns when the last of its prompts is done, with the engine half empty for the slowest
ones; here each prompt is added as soon as another one has ended, which keeps `LLM.chat`'s speed
while no more than a few prompts are at risk.

    in   {"engine": {...}, "sampling": {...}, "longest_prompt": N}         first line
         {"id": 7, "prompt": [token, ...], "n": 4, "seed": 123}            then a line a prompt
    out  {"ready": true}
         {"id": 7, "samples": [[text, finish_reason, num_tokens], ...]}
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

# Python puts a script's folder first, where this package's modules would hide others of their name.
sys.path = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]

Lines = queue.SimpleQueue


def main() -> None:
    """Serve one parent until it closes the pipe."""
    requests, replies = _take_pipes()
    setup = json.loads(requests.readline())
    llm = start(setup)
    _reply(replies, {"ready": True})
    _serve(llm, setup["sampling"], _read_ahead(requests), replies)


def start(setup: dict[str, Any]) -> Any:
    """Return `vllm.LLM` as this machine needs it."""
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")  # else one of two cores idles
    from vllm import LLM
    from vllm.platforms import current_platform

    window = setup["longest_prompt"] + setup["sampling"]["max_tokens"]
    arguments: dict[str, Any] = {"disable_log_stats": True, "max_model_len": window}
    if current_platform.is_cpu():
        # The CPU engine crashes on seeds when it reads a prompt in pieces ("CPU Generator does not
        # use offset"); compiling takes longer than a probing run; and without a size it wants
        # nearly all memory for its cache.
        arguments |= {
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(4096, window),
            "enforce_eager": True,
            "kv_cache_memory_bytes": 2 << 30,
        }
    else:
        arguments["gpu_memory_utilization"] = 0.8  # the embedding model has its place there too
        capability = current_platform.get_device_capability()
        if capability is not None and capability.major < 8:  # a T4 has no bfloat16
            arguments["dtype"] = "half"
    return LLM(**(arguments | setup["engine"]))


def _serve(llm: Any, sampling: dict[str, Any], lines: Lines[str], replies: IO[bytes]) -> None:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    engine = llm.llm_engine
    while True:
        while not (lines.empty() and engine.has_unfinished_requests()):
            asked = json.loads(lines.get())
            drawn = SamplingParams(
                n=asked["n"],
                seed=asked["seed"],
                output_kind=RequestOutputKind.FINAL_ONLY,  # all samples of a prompt at once
                **sampling,
            )
            engine.add_request(str(asked["id"]), {"prompt_token_ids": asked["prompt"]}, drawn)
        for output in engine.step():
            if output.finished:
                samples = [
                    [each.text, each.finish_reason, len(each.token_ids)] for each in output.outputs
                ]
                _reply(replies, {"id": int(output.request_id), "samples": samples})


def _read_ahead(requests: IO[bytes]) -> Lines[str]:
    """Return a queue that a thread fills; a parent that is gone takes the engine with it."""
    lines: Lines[str] = queue.SimpleQueue()

    def read() -> None:
        for line in requests:
            lines.put(line.decode("ascii"))
        if hasattr(os, "killpg"):  # this process leads a group of its own: see vllm_process.py
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep standard input and output for the parent; what a library prints goes to the log."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, replies


def _reply(replies: IO[bytes], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message).encode("ascii") + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
