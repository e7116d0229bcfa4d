"""Panics of libraries that are written in Rust, such as `cdshealpix`.

What Python sees of them is no `Exception`: it would go past every handler and end the thread that
it happens in, without a record. A notice that causes one would be met again after each restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def panics_are_errors() -> Iterator[None]:
    """Turn a panic into a `RuntimeError`; also a decorator.

    Raises
    ------
    RuntimeError
        With the panic's text.
    """
    try:
        yield
    except BaseException as error:
        # Each such library has a class of that name of its own, which none exports.
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(f"a panic: {error}") from error
