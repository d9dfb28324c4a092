"""The addresses of a served model: which one is asked next, which rest, which refuse."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rbic_hf.errors import ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from rbic_hf.probers.server import ServerProber

INSTALL = "an endpoint needs the openai client: pip install 'rbic-hf[server]'"

_LONGEST_REST_S = 30.0
_LONGEST_RETRY_AFTER_S = 120.0
_REFUSED = (401, 403, 404)  # says nothing else next time


@dataclass
class Address:
    """One address and how it has been doing."""

    client: AsyncOpenAI
    num_open: int = 0
    num_failures: int = 0  # in a row
    rests_until: float = 0.0
    refusal: str = ""


class Addresses:
    """All addresses of one `ServerProber`, with their clients open while it is entered."""

    def __init__(self, prober: ServerProber) -> None:
        self._prober = prober
        self._addresses: list[Address] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Addresses:
        for url in self._prober.urls:
            # The client's own retries stay in one place; ours go to another address.
            client = openai_client().AsyncOpenAI(
                base_url=url,
                api_key=self._prober.api_key,
                timeout=self._prober.timeout_s,
                max_retries=1 if len(self._prober.urls) == 1 else 0,
            )
            self._addresses.append(Address(await self._stack.enter_async_context(client)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def all(self) -> list[Address]:
        """Return the addresses that do not refuse."""
        return [each for each in self._addresses if not each.refusal]

    async def free(self) -> Address:
        """Return the least busy address that does not rest, once there is one.

        Raises:
            ModelError: every address refuses.
        """
        while True:
            now = time.monotonic()
            usable = self.all()
            if not usable:
                raise ModelError(f"the server refuses the requests: {self._addresses[0].refusal}")
            if free := [each for each in usable if each.rests_until <= now]:
                return min(free, key=lambda each: each.num_open)
            await asyncio.sleep(min(each.rests_until for each in usable) - now)

    def note_answer(self, address: Address) -> None:
        """Let an address that answers be asked again."""
        address.num_failures, address.rests_until = 0, 0.0

    def note_failure(self, address: Address, error: Exception) -> None:
        """Leave the address alone for a while: as long as it asks for, or longer each time."""
        if status_of(error) in _REFUSED:
            address.refusal = self._prober.shown(error)
        now = time.monotonic()
        if address.rests_until > now:  # a request from before the last failure
            return
        wait = min(0.5 * 2**address.num_failures, _LONGEST_REST_S) * random.uniform(0.75, 1.0)
        response: Any = getattr(error, "response", None)
        with contextlib.suppress(AttributeError, KeyError, ValueError):
            wait = max(wait, min(float(response.headers["retry-after"]), _LONGEST_RETRY_AFTER_S))
        address.rests_until = now + wait
        address.num_failures += 1


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error, if it has one."""
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
