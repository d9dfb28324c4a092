"""Every error that rbic_hf raises on purpose.

RbicError
├── ConfigError  (ValueError)    a setting, a ratio, a unit that cannot be used
├── DataError    (ValueError)    a dataset that cannot be read or selected from
├── ModelError   (RuntimeError)  an encoder, a prober or a grader that failed or is missing
└── HubError     (RuntimeError)  the Hub could not be reached, or did not do what was asked
"""

from __future__ import annotations


class RbicError(Exception):
    """The base of all errors raised on purpose by rbic_hf."""


class ConfigError(RbicError, ValueError):
    """A setting has a value that is not accepted; the message names the accepted ones."""


class DataError(RbicError, ValueError):
    """A dataset has no rows, no known layout, a missing column or no usable row."""


class HubError(RbicError, RuntimeError):
    """The Hub could not be reached, or did not do what was asked."""


class ModelError(RbicError, RuntimeError):
    """A model is missing, raised, or returned something of the wrong shape."""
