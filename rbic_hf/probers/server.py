"""Rollouts from OpenAI-compatible endpoints, such as `vllm serve`: one address or several.

The `openai` client sends a request, waits as long as `Retry-After` says and tries a few times. What
it gives up on is sent to another address; an address that fails is left alone for a while, and the
run ends only when none of them has answered for `patience_s`.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from rbic_hf.errors import ConfigError, ModelError
from rbic_hf.probers.server_addresses import openai_client
from rbic_hf.probers.server_requests import Asking
from rbic_hf.protocols import MAX_IN_FLIGHT, ChatMessage, Probed

VERSION = 1


class ServerProber:
    """Asks the chat endpoint of one or several servers of the same model.

    Whether a seed is obeyed is the server's affair: vLLM does; others may ignore it.

    Args:
        base_url: address or addresses, such as "http://localhost:8000/v1".
        model: the name under which the model is served; None: the only one that is served.
        revision: commit of the model, for the cache key; a server does not tell it.
        api_key: None: `OPENAI_API_KEY`, or none. It enters no cache, log or error.
        temperature: sampling temperature, > 0.
        top_p: nucleus, in (0, 1].
        max_new_tokens: longest rollout; None: 1024.
        max_in_flight: prompts sent at once, over all addresses: what a kill may lose.
        patience_s: seconds without an answer from any address after which the run ends.
        timeout_s: seconds that one request may take.
        extra_body: more fields of the request, such as `{"chat_template_kwargs": {...}}`.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        *,
        model: str | None = None,
        revision: str = "",
        api_key: str | None = None,
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        patience_s: float = 300.0,
        timeout_s: float = 600.0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        urls = [base_url] if isinstance(base_url, str) else list(base_url)
        if any("@" in url for url in urls):  # it would stand in every log of the client
            raise ConfigError("an address must hold no password; give a key with api_key=")
        if not urls or not all(re.match(r"https?://", url.strip()) for url in urls):
            raise ConfigError(
                f"base_url={base_url!r} is not accepted; give addresses such as "
                "'http://localhost:8000/v1'"
            )
        self.urls = [url.strip().rstrip("/") for url in urls]
        self.api_key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._model = model
        self._revision = revision
        self._sampling = {"temperature": temperature, "top_p": top_p}
        self.max_new_tokens = max_new_tokens or 1024
        self._extra_body = dict(extra_body or {})
        self.timeout_s = timeout_s
        self.max_in_flight = max_in_flight
        self.patience_s = patience_s

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """What determines the rollouts; the address does not."""
        return {
            "prober": self._model or self.served[0],
            "revision": self._revision,
            "engine": "server",
            "version": VERSION,
            **self._sampling,
            "max_new_tokens": self.max_new_tokens,
            "extra_body": self._extra_body,
        }

    def probe(
        self, prompts: Sequence[list[ChatMessage]], *, n: int, seeds: Sequence[int]
    ) -> Iterator[Probed]:
        """Yield (place, `n` samples) as answers come in; None where the prompt is too long.

        A prompt on which a living server fails again and again gets samples that say "error".

        Raises:
            ModelError: no address answered for `patience_s`, or they refuse requests of this kind.
        """
        _, window = self.served  # whether anybody is there, before anything is asked
        if window is not None and window <= self.max_new_tokens:
            raise ModelError(
                f"max_new_tokens={self.max_new_tokens} leaves no room for a prompt in the "
                f"{window} tokens of {self.spec['prober']!r}"
            )
        answers: queue.SimpleQueue[Probed | BaseException] = queue.SimpleQueue()
        asking = Asking(self, prompts, n, seeds, answers)
        # A notebook's own event loop runs in this thread already; the requests get another one.
        thread = threading.Thread(target=asking.run, daemon=True)
        thread.start()
        num_left = len(prompts)
        try:
            while num_left:
                answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                asking.one_was_taken()
                num_left -= 1
                yield answer
        finally:
            if num_left:
                asking.stop()
            thread.join()

    @property
    def shown_urls(self) -> str:
        """The addresses, for messages."""
        return ", ".join(self.urls)

    @cached_property
    def served(self) -> tuple[str, int | None]:
        """Name and window (tokens, None where the server does not tell) of the model.

        Raises:
            ModelError: no address answers.
            ConfigError: none was named, and not just one is served.
        """
        openai = openai_client()
        last: Exception | None = None
        for url in self.urls:
            try:
                with openai.OpenAI(
                    base_url=url, api_key=self.api_key, timeout=30.0, max_retries=3
                ) as client:
                    return self._chosen(url, list(client.models.list()))
            except ConfigError:
                raise
            except openai.NotFoundError as error:  # some servers have no list
                if self._model is not None:
                    return self._model, None
                last = error
            except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
                last = error
        hint = "" if all(url.endswith("/v1") for url in self.urls) else "; did you mean .../v1?"
        raise ModelError(f"no answer from {self.shown_urls}: {self.shown(last)}{hint}")

    def _chosen(self, url: str, models: list[Any]) -> tuple[str, int | None]:
        names = [model.id for model in models]
        if self._model is None and len(names) != 1:
            raise ConfigError(
                f"{url} serves {', '.join(names) or 'nothing'}; name one with model= "
                "(--prober-model)"
            )
        name = self._model or names[0]
        windows = [getattr(model, "max_model_len", None) for model in models if model.id == name]
        window = windows[0] if windows else None
        return name, window if isinstance(window, int) else None

    def request(self, messages: list[ChatMessage], n: int, seed: int) -> dict[str, Any]:
        """Return the fields of one chat request."""
        return {
            "model": self.spec["prober"],
            "messages": messages,
            "n": n,
            "seed": seed,
            "max_tokens": self.max_new_tokens,
            "extra_body": self._extra_body or None,
            **self._sampling,
        }

    def shown(self, error: object) -> str:
        """Return an error as one line without the key."""
        line = " ".join(str(error or "unknown").split())
        secret = self.api_key if len(self.api_key) > 4 else "\0"
        # OpenAI's own servers quote the ends of a wrong key
        return re.sub(r"\bsk-\S+", "***", line.replace(secret, "***"))[:500]
