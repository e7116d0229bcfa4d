"""What the command's exit status says."""

from __future__ import annotations

from toros.common.errors import AddressInUse, ConfigurationError, SchemaNotCurrent

DONE, FAILED, WRONG_USE = 0, 1, 2

# What no restart mends: the command exits with 2, upon which systemd does not try again.
VAIN = (ConfigurationError, AddressInUse, SchemaNotCurrent)
