"""Compiles functions with numba and keeps the machine code on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import stat
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numba.np.linalg
from numba.core import event
from numba.core.caching import FunctionCache
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")
# What unpickling makes of a file that a power cut has cut off or filled with zeros.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, TypeError,
    ValueError,
)  # fmt: skip


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile `function` at its first call; later processes load it from the cache on disk."""
    # One thread at a time: the word is numba's, for all of the process.
    with _naming:
        before = numba.config.CACHE_DIR
        # numba asks for the folder here, not at the first call; other libraries keep their own.
        numba.config.CACHE_DIR = str(_CACHE or "")
        try:
            compiled = numba.njit(nogil=True, error_model="numpy", cache=_CACHE is not None)(
                function
            )
            if _CACHE is not None:
                compiled._cache = _KernelCache(function)
                _not_loaded.append(compiled)
        finally:
            numba.config.CACHE_DIR = before
    return cast("Callable[_P, _R]", compiled)


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile `function` into the kernels that call it."""
    return cast("Callable[_P, _R]", numba.njit(nogil=True, error_model="numpy")(function))


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Loads machine code without all that numba would need to make some.

    numba first loads what it knows to compile, which takes longer than the rest of it together;
    machine code needs its run time alone. What is compiled after all loads the rest then.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for the types `sig`, None if there is none."""
        rtsys.initialize(target_context)
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except _DAMAGE as error:
            log.warning("A kernel in %s is damaged, and is compiled anew: %s", _CACHE, error)
            with suppress(OSError):
                self.flush()
            return None

    def signatures(self, target_context: Any) -> list[Any]:
        """Return the types for which there is machine code for this processor."""
        try:
            keys = list(self._cache_file._load_index())
        except (OSError, *_DAMAGE):
            # Whoever calls the kernel is told.
            return []
        codegen = target_context.codegen()
        return [key[0] for key in keys if key == self._index_key(key[0], codegen)]

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code; where that fails it is used all the same."""
        try:
            super().save_overload(sig, data)
        except (OSError, *_DAMAGE) as error:
            log.warning("A compiled kernel cannot be kept in %s: %s", _CACHE, error)


def _find_cache() -> Path | None:
    """Return a folder for the machine code of this version of the kernels, if there is one.

    In ``$NUMBA_CACHE_DIR``, else beside the source, else in ``~/.cache/toros``, else in the
    temporary folder: a daemon may have neither a home nor the right to write where TOROS is
    installed.
    """
    # numba looks only at the file of a function, not at those of the functions that it calls.
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    tried = [Path(__file__).parent / "__pycache__", Path(home) / "toros"]
    if os.environ.get("NUMBA_CACHE_DIR"):
        tried.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    for folder in tried:
        if _is_writable(folder / name):
            return folder / name
    # The cache is code: a folder that others could have made, or may write to, is not trusted.
    shared = Path(tempfile.gettempdir()) / f"toros-{name}-{os.getuid()}"
    if _is_writable(shared) and _is_private(shared):
        return shared
    log.warning(
        "Compiled kernels cannot be kept: no folder for them can be written to. Every process "
        "compiles them anew, which takes some seconds; set NUMBA_CACHE_DIR."
    )
    return None


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def when_compiling(tell: Callable[[str], object]) -> None:
    """Call `tell` with a sentence, once, when kernels must be compiled: the only slow time."""
    _told.append(tell)


def load_ahead(enough: Callable[[], bool]) -> None:
    """Load machine code that earlier processes have made, kernel by kernel, until it is `enough`.

    A kernel is loaded at its first call, which takes some milliseconds for which everything waits:
    better before, while a core has nothing else to do.
    """
    while not enough():
        try:
            dispatcher = _not_loaded.popleft()
        except IndexError:
            return
        # Another thread may be importing the module, without all of which the code is no good.
        import_module(dispatcher.py_func.__module__)
        for signature in dispatcher._cache.signatures(dispatcher.targetctx):
            dispatcher.compile(signature)


class _Announcer(event.Listener):  # type: ignore[misc]
    """Says once per process that kernels are being compiled."""

    def __init__(self) -> None:
        self._said = threading.Event()

    def on_start(self, event: Any) -> None:
        """Make numba ready, and log the first compilation of one of our kernels."""
        _load_numba()
        source = event.data["dispatcher"].py_func.__module__
        if source.startswith("toros.") and not self._said.is_set():
            self._said.set()
            for tell in _told:
                tell("Compiling the reduction kernels for this machine: once, some seconds.")

    def on_end(self, event: Any) -> None:
        """Say nothing."""


def _load_numba() -> None:
    """Load numba's implementations, which it does at the first compilation, but for SciPy's.

    Only to note whether there is a BLAS it imports all of `scipy.linalg`, which takes longer than
    everything else together. There is one: SciPy is among our dependencies, and a function that
    calls it looks again. numba's own word for this is `numba.np.arraymath._HAVE_BLAS`.
    """
    look = numba.np.linalg.ensure_blas
    numba.np.linalg.ensure_blas = lambda: None
    try:
        cpu_target.target_context.refresh()
    finally:
        numba.np.linalg.ensure_blas = look


_told: list[Callable[[str], object]] = [log.info]
_not_loaded: deque[Any] = deque()
_naming = threading.Lock()
_CACHE = _find_cache()
event.register("numba:compile", _Announcer())
