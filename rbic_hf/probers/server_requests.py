"""The requests of one `ServerProber.probe` call: in flight at once, tried again, told apart.

What fails is either the server or the prompt. A server that is down, busy or restarting says
nothing about a prompt: the address rests and the prompt waits or goes elsewhere. A prompt on which
a living server fails costs itself alone. Where nothing else shows whether the server lives, a short
question of our own is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rbic_hf.errors import ModelError
from rbic_hf.probers.server_addresses import Addresses, openai_client, status_of
from rbic_hf.protocols import CUT, ENDED, FAILED, ChatMessage, Probed, Sample

if TYPE_CHECKING:
    from rbic_hf.probers.server import ServerProber

logger = logging.getLogger("rbic_hf")

_TRIES_PER_PROMPT = 5  # a prompt on which a living server fails this often is left alone
_TEMPLATE_TOKENS = 256  # what a chat template may add to a prompt
_REASONS = {"stop": ENDED, "length": CUT, "content_filter": "filtered", "tool_calls": "tool_calls"}
_TOO_LONG = re.compile(r"context length|context window|too long|max_model_len|maximum.{0,40}token")
SECONDS_OF_SILENCE = 10.0  # after which the user is told what is being waited for
_BAD_REQUEST = (400, 413, 422)
_CONTROL: list[ChatMessage] = [{"role": "user", "content": "1 + 1 = ?"}]

# What reading an answer of the wrong shape raises; the client's own errors come on top.
_ODD_ANSWER = (ValueError, TypeError, KeyError, AttributeError, IndexError)


class Asking:
    """An event loop in a thread of its own; answers go into a queue as they come."""

    def __init__(
        self,
        prober: ServerProber,
        prompts: Sequence[list[ChatMessage]],
        n: int,
        seeds: Sequence[int],
        answers: queue.SimpleQueue[Probed | BaseException],
    ) -> None:
        self._prober, self._prompts, self._n, self._seeds = prober, prompts, n, seeds
        self._answers = answers
        self._num_answered = 0
        self._can_count = True
        self._has_warned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._running = threading.Event()

    def run(self) -> None:
        """Work until everything is answered or stopped; the body of the thread."""
        try:
            asyncio.run(self._work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised again in the thread that waits for answers
            self._answers.put(error)
        finally:
            self._running.set()

    def one_was_taken(self) -> None:
        """Make room for another prompt."""
        self._call(lambda: self._room.release())

    def stop(self) -> None:
        """Take back what is in flight; nothing happens when all is answered."""
        self._running.wait()
        if self._main is not None:
            self._call(self._main.cancel)

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    async def _work(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        # Counts answers nobody has taken yet as in flight: a kill loses them too.
        self._room = asyncio.Semaphore(self._prober.max_in_flight)
        self._asking_control = asyncio.Lock()
        self._running.set()
        async with Addresses(self._prober) as self._addresses:
            await self._ask_all()
        await asyncio.sleep(0)  # sockets close in the loop's next turn

    async def _ask_all(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        try:
            for place in range(len(self._prompts)):
                await self._room.acquire()
                task = asyncio.ensure_future(self._ask_or_end(place))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_or_end(self, place: int) -> None:
        """Put the answer to one prompt; what no other prompt would survive ends the work."""
        try:
            self._answers.put((place, await self._ask(place)))
        except Exception as error:  # raised again in the thread that waits for answers
            self._answers.put(error)
            assert self._main is not None
            self._main.cancel()

    async def _ask(self, place: int) -> list[Sample] | None:
        """Return the samples of one prompt, from whichever address gives them.

        Raises:
            ModelError: requests of this kind are refused, or nobody answers for `patience_s`.
        """
        failing_since = None
        num_own, num_alone = 0, 0  # failures while others were answered, and while nobody was
        while True:
            answered_before = self._num_answered
            samples, error = await self._try(place)
            if error is None:
                self._num_answered += 1
                return samples
            now = time.monotonic()
            failing_since = failing_since or now
            if now - failing_since > SECONDS_OF_SILENCE and not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "the server fails (%s); waiting up to %.0f s",
                    self._prober.shown(error), self._prober.patience_s,
                )  # fmt: skip
            is_late = now - failing_since > self._prober.patience_s
            if status_of(error) in _BAD_REQUEST:
                if await self._lives():
                    return self._given_up(error)
                raise ModelError(f"the server refuses the requests: {self._prober.shown(error)}")
            if not _is_about_the_server(error):
                num_own += self._num_answered > answered_before
                num_alone += self._num_answered == answered_before
            if num_own >= _TRIES_PER_PROMPT:
                return self._given_up(error)
            if is_late or num_alone >= _TRIES_PER_PROMPT:
                if await self._lives():
                    return self._given_up(error)
                if is_late:
                    shown = self._prober.shown(error).rstrip(".")
                    raise ModelError(
                        f"no answer from {self._prober.shown_urls} for "
                        f"{now - failing_since:.0f} s: {shown}; what was "
                        "answered is kept, the next run goes on from there"
                    )

    def _given_up(self, error: Exception) -> list[Sample]:
        logger.warning(
            "a prompt is given up, the next run tries again: %s", self._prober.shown(error)
        )
        return [Sample("", FAILED)] * self._n

    async def _try(self, place: int) -> tuple[list[Sample] | None, Exception | None]:
        """Return the samples, or what went wrong: raised outside, it would hold the key."""
        address = await self._addresses.free()
        messages, seed = self._prompts[place], self._seeds[place]
        address.num_open += 1
        try:
            if not await self._fits(address.client, messages):
                return None, None
            samples: list[Sample] = []
            while len(samples) < self._n:  # a server may give one a request, whatever n says
                wanted = self._n if not samples else 1
                request = self._prober.request(messages, wanted, seed + len(samples))
                answer = await address.client.chat.completions.create(**request)
                samples += _samples(answer)
        except (openai_client().OpenAIError, *_ODD_ANSWER) as error:
            if status_of(error) == 400 and _TOO_LONG.search(str(error)):
                return None, None
            if status_of(error) not in _BAD_REQUEST:
                self._addresses.note_failure(address, error)
            return None, error
        finally:
            address.num_open -= 1
        self._addresses.note_answer(address)
        return samples[: self._n], None

    async def _lives(self) -> bool:
        """Return whether a short question of our own is answered, by any address."""
        async with self._asking_control:
            for address in self._addresses.all():
                request = self._prober.request(_CONTROL, 1, 0) | {"max_tokens": 1}
                with contextlib.suppress(openai_client().OpenAIError, *_ODD_ANSWER):
                    answer = await address.client.with_options(timeout=60).chat.completions.create(
                        **request
                    )
                    if _samples(answer):
                        return True
            return False

    async def _fits(self, client: Any, messages: list[ChatMessage]) -> bool:
        """Return whether a prompt fits; vLLM counts its tokens, elsewhere the request will tell."""
        window = self._prober.served[1]
        if window is None or not self._can_count:
            return True
        room = window - self._prober.max_new_tokens
        size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        if size + _TEMPLATE_TOKENS <= room:  # a token is a byte or more
            return True
        body = {"model": self._prober.spec["prober"], "messages": messages}
        root = str(client.base_url).rstrip("/").removesuffix("/v1")
        try:
            counted: Any = await client.post(f"{root}/tokenize", body=body, cast_to=object)
            return int(counted["count"]) <= room
        except (openai_client().APIStatusError, *_ODD_ANSWER) as error:
            status = status_of(error)
            if status is not None and (status >= 500 or status in (408, 409, 429)):
                raise
            self._can_count = False  # a server that does not count
            return True


def _is_about_the_server(error: Exception) -> bool:
    """Return whether an error says that the server is down, busy or restarting."""
    openai = openai_client()
    if isinstance(error, openai.APITimeoutError):
        return False
    return isinstance(error, openai.APIConnectionError) or status_of(error) in (
        401, 403, 404, 408, 409, 429, 502, 503, 504,
    )  # fmt: skip


def _samples(answer: Any) -> list[Sample]:
    """Return one sample per choice; of the tokens a server tells only the sum.

    Raises:
        ValueError: there is no choice, or an engine gave up in the middle.
    """
    choices = answer.choices or []
    if not choices or not all(choice.finish_reason in _REASONS for choice in choices):
        raise ValueError("an answer without choices, or with one that was broken off")
    total = getattr(answer.usage, "completion_tokens", None)
    shares: list[int | None] = [None] * len(choices)
    if isinstance(total, int):
        shares = [(total + k) // len(choices) for k in range(len(choices))]
    return [
        Sample(_text(choice.message), _REASONS[choice.finish_reason], share)
        for choice, share in zip(choices, shares, strict=True)
    ]


def _text(message: Any) -> str:
    """Return what was said; thinking that the server took out is put back in its tags."""
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    said = message.content or ""
    return f"<think>{thinking}</think>{said}" if thinking else str(said)
