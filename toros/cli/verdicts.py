"""What the command's exit status says."""

from __future__ import annotations

from toros.common.errors import (
    AddressInUse,
    ConfigurationError,
    InvalidField,
    SchemaNotCurrent,
    TorosError,
)

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

# What no restart mends: the command exits with 2, upon which systemd does not try again.
VAIN = (ConfigurationError, AddressInUse, SchemaNotCurrent)


def status_of(error: TorosError) -> int:
    """Return the exit status of a command that ends in `error`."""
    return WRONG_USE if isinstance(error, (*VAIN, InvalidField)) else FAILED
