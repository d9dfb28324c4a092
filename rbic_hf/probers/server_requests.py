"""The requests of one `ServerProber.probe` call: in flight at once, tried again, told apart.

A failure of an address (down, busy, restarting) says nothing about a prompt: the address rests and
the prompt goes elsewhere or waits. A living server that fails on one prompt again and again, or
refuses it, costs that prompt alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rbic_hf.errors import ModelError
from rbic_hf.protocols import CUT, ENDED, FAILED, ChatMessage, Probed, Sample

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from rbic_hf.probers.server import ServerProber

logger = logging.getLogger("rbic_hf")

INSTALL = "an endpoint needs the openai client: pip install 'rbic-hf[server]'"

_TRIES_PER_PROMPT = 5  # a prompt on which a living server fails this often is left alone
_LONGEST_REST_S = 30.0
_LONGEST_RETRY_AFTER_S = 120.0
_TEMPLATE_TOKENS = 256  # what a chat template may add to a prompt
_REASONS = {"stop": ENDED, "length": CUT}
_TOO_LONG = re.compile(r"context length|context window|too long|max_model_len|maximum.{0,40}token")


@dataclass
class _Address:
    client: AsyncOpenAI
    num_open: int = 0
    num_failures: int = 0  # in a row
    rests_until: float = 0.0


@dataclass
class Asking:
    """One `probe` call: an event loop in a thread of its own, with the requests in flight."""

    prober: ServerProber
    prompts: Sequence[list[ChatMessage]]
    n: int
    seeds: Sequence[int]
    answers: queue.SimpleQueue[Probed | BaseException]
    addresses: list[_Address] = field(default_factory=list)
    last_answer: float = 0.0
    num_answered: int = 0
    num_refused: int = 0
    can_count: bool = True

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._running = threading.Event()
        # Counts answers nobody has taken yet as in flight: a kill loses them too.
        self._room = asyncio.Semaphore(self.prober.max_in_flight)

    def run(self) -> None:
        """Work until everything is answered or stopped; the body of the thread."""
        try:
            asyncio.run(self._work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised again in the thread that waits for answers
            self.answers.put(error)
        finally:
            self._running.set()

    def one_was_taken(self) -> None:
        """Make room for another prompt."""
        self._call(self._room.release)

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
        self._running.set()
        await self._ask_all()
        await asyncio.sleep(0)  # sockets close in the loop's next turn

    async def _ask_all(self) -> None:
        openai = openai_client()
        async with contextlib.AsyncExitStack() as stack:
            for url in self.prober.urls:
                client = openai.AsyncOpenAI(
                    base_url=url,
                    api_key=self.prober.api_key,
                    timeout=self.prober.timeout_s,
                    max_retries=2 if len(self.prober.urls) == 1 else 0,
                )
                self.addresses.append(_Address(await stack.enter_async_context(client)))
            self.last_answer = time.monotonic()
            tasks: set[asyncio.Task[None]] = set()
            try:
                for place in range(len(self.prompts)):
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
        """Ask one prompt; what no other prompt would survive ends the work."""
        try:
            await self._ask(place)
        except Exception as error:  # raised again in the thread that waits for answers
            self.answers.put(error)
            assert self._main is not None
            self._main.cancel()

    async def _ask(self, place: int) -> None:
        """Put the answer to one prompt, of whichever address gives it."""
        openai = openai_client()
        num_failures = 0
        samples: list[Sample] | None = [Sample("", FAILED)] * self.n
        while num_failures < _TRIES_PER_PROMPT:
            address = await self._free_address()
            try:
                samples = await self._answer(address, self.prompts[place], self.seeds[place])
            except openai.OpenAIError as error:
                if self._is_refused(error):
                    break
                self._rest(address, error)
                # An address that is down or busy says nothing about the prompt.
                num_failures += isinstance(error, openai.APITimeoutError) or _status(error) == 500
                continue
            address.num_failures, address.rests_until = 0, 0.0
            self.last_answer = time.monotonic()
            self.num_answered += 1
            break
        self.answers.put((place, samples))

    async def _free_address(self) -> _Address:
        """Return the least busy address that does not rest, once there is one."""
        while True:
            now = time.monotonic()
            if free := [each for each in self.addresses if each.rests_until <= now]:
                return min(free, key=lambda each: each.num_open)
            await asyncio.sleep(min(each.rests_until for each in self.addresses) - now)

    def _is_refused(self, error: Exception) -> bool:
        """Return whether this prompt is refused for good.

        Raises:
            ModelError: requests of this kind are refused, whatever the prompt.
        """
        status = _status(error)
        if status is None or not 400 <= status < 500 or status in (408, 409, 429):
            return False
        self.num_refused += 1
        few = self.num_refused < min(_TRIES_PER_PROMPT, len(self.prompts))
        if status not in (400, 413, 422) or not (self.num_answered or few):
            raise ModelError(f"the server refuses the requests: {self.prober.shown(error)}")
        logger.warning("the server refuses a prompt: %s", self.prober.shown(error))
        return True

    def _rest(self, address: _Address, error: Exception) -> None:
        """Leave the address alone for a while, as long as it asks for or longer each time.

        Raises:
            ModelError: no address has answered for too long.
        """
        now = time.monotonic()
        if now - self.last_answer > self.prober.patience_s:
            raise ModelError(
                f"no answer from {', '.join(self.prober.urls)} for "
                f"{now - self.last_answer:.0f} s: {self.prober.shown(error)}; what was answered "
                "is kept, the next run goes on from there"
            )
        if address.rests_until > now:  # the failure of a request sent before the last one failed
            return
        wait = min(0.5 * 2**address.num_failures, _LONGEST_REST_S) * random.uniform(0.75, 1.0)
        response = getattr(error, "response", None)
        with contextlib.suppress(AttributeError, KeyError, ValueError):
            wait = min(max(wait, float(response.headers["retry-after"])), _LONGEST_RETRY_AFTER_S)  # type: ignore[union-attr]
        address.rests_until = now + wait
        address.num_failures += 1

    async def _answer(
        self, address: _Address, messages: list[ChatMessage], seed: int
    ) -> list[Sample] | None:
        """Return the samples of one prompt; None when it is too long."""
        openai = openai_client()
        address.num_open += 1
        try:
            if not await self._fits(address.client, messages):
                return None
            samples: list[Sample] = []
            while len(samples) < self.n:  # a server may give one for each request, whatever n says
                wanted = self.n if not samples else 1
                request = self.prober.request(messages, wanted, seed + len(samples))
                answer = await address.client.chat.completions.create(**request)
                samples += _samples(answer)
            return samples[: self.n]
        except openai.BadRequestError as error:
            if _TOO_LONG.search(str(error)):
                return None
            raise
        finally:
            address.num_open -= 1

    async def _fits(self, client: AsyncOpenAI, messages: list[ChatMessage]) -> bool:
        """Return whether a prompt fits; vLLM counts its tokens, elsewhere the request will tell."""
        openai = openai_client()
        window = self.prober.served[1]
        if window is None or not self.can_count:
            return True
        room = window - self.prober.max_new_tokens
        size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        if size + _TEMPLATE_TOKENS <= room:  # a token is a byte or more
            return True
        body = {"model": self.prober.spec["prober"], "messages": messages}
        root = str(client.base_url).rstrip("/").removesuffix("/v1")
        try:
            counted: Any = await client.post(f"{root}/tokenize", body=body, cast_to=object)
            return int(counted["count"]) <= room
        except (openai.NotFoundError, KeyError, TypeError, ValueError):
            self.can_count = False
            return True


def _samples(answer: Any) -> list[Sample]:
    """Return one sample per choice; of the tokens a server tells only the sum."""
    choices = answer.choices or []
    if not choices:
        raise openai_client().OpenAIError("an answer without choices")
    total = getattr(answer.usage, "completion_tokens", None)
    shares: list[int | None] = [None] * len(choices)
    if total is not None:
        shares = [(total + k) // len(choices) for k in range(len(choices))]
    return [
        Sample(_text(choice.message), _REASONS.get(choice.finish_reason, "other"), share)
        for choice, share in zip(choices, shares, strict=True)
    ]


def _text(message: Any) -> str:
    """Return what was said; thinking that the server took out is put back in its tags."""
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    said = message.content or ""
    return f"<think>{thinking}</think>{said}" if thinking else said


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def openai_client() -> Any:
    """Return the client library.

    Raises:
        ModelError: it is not installed; the message has the command.
    """
    try:
        import openai
    except ImportError as error:
        raise ModelError(INSTALL) from error
    return openai
