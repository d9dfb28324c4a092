"""What the Hub's clients raise, as one line that never holds a token."""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = str | bool | None


def client_errors() -> tuple[type[Exception], ...]:
    """Return what datasets and huggingface_hub raise for network, files, content and arguments."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import errors

    # The base class of httpx or httpx2, whichever this huggingface_hub is built on.
    http_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return (http_error, OSError, ValueError, RuntimeError, yaml.YAMLError)


def _chain(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        err = err.__cause__ or (None if err.__suppress_context__ else err.__context__)


def http_status(err: BaseException) -> int | None:
    """Return the HTTP status behind an error: uploads wrap theirs in a RuntimeError."""
    for link in _chain(err):
        status = getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def reason_of(err: BaseException, token: Token = None) -> str:
    """Return one line: the HTTP status and the server's words, else the words of the cause."""
    status = http_status(err)
    if status is not None:
        words = [w for link in _chain(err) if (w := getattr(link, "server_message", None))]
        return one_line(f"HTTP {status}" + (f" ({words[0]})" if words else ""), token)
    while err.__cause__ is not None and str(err.__cause__).strip():
        err = err.__cause__
    return one_line(str(err).strip() or type(err).__name__, token)


def one_line(text: str, token: Token) -> str:
    """Return at most 300 printable characters, with every token replaced."""
    text = _redacted(text[:10_000], token)
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())[:300]


def _redacted(text: str, token: Token) -> str:
    from huggingface_hub import get_token

    for secret in (token, get_token()):
        if isinstance(secret, str) and secret.strip():
            text = text.replace(secret.strip(), "***")
    return re.sub(r"\bhf_\w{8,}", "***", text)


def shown_cause(err: BaseException, token: Token) -> BaseException | None:
    """Return the cause to chain, or None when its own text would show a token."""
    texts = [str(link) for link in _chain(err)]
    return err if all(_redacted(text, token) == text for text in texts) else None
