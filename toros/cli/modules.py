"""The modules that can be served, and how each is built."""

from __future__ import annotations

from importlib import import_module

from toros.common.errors import ConfigurationError
from toros.common.module import Context, Module
from toros.common.nearest import nearest

SIMULATOR = "simulator"
# Each has `daemon.build(context)`. Imported only when served: a daemon loads its own libraries.
ROOMS = {
    "telescope": "toros.telescope.daemon",
    "dome": "toros.dome.daemon",
    "preprocessor": "toros.preprocessor.daemon",
    "lvcgcn": "toros.lvcgcn.daemon",
}
# Named by the contract, and not in this version.
TO_COME = ("file-ingestor", "calib-service", "quality-monitor", "web")


def check_name(name: str) -> str:
    """Return the canonical spelling of a module's name.

    Raises
    ------
    ConfigurationError
        When there is no such module.
    """
    spelt = name.lower().replace("_", "-")
    if spelt in (*ROOMS, SIMULATOR):
        return spelt
    if spelt in TO_COME:
        raise ConfigurationError(f"The module {spelt} is not in this version of TOROS.")
    raise ConfigurationError(f"There is no module {name!r}{nearest(spelt, [*ROOMS, SIMULATOR])}.")


def build(name: str, context: Context) -> Module[object]:
    """Return the module called `name`, ready to be served."""
    room = import_module(ROOMS[name])
    module: Module[object] = room.build(context)
    return module
