"""The folder of notices and sky maps, kept byte for byte under the digest of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from toros.common.atomic import write_bytes
from toros.common.errors import ConfigurationError
from toros.lvcgcn.formats.avro import AVRO_MAGIC


class Keep:
    """Where received bytes go before anything else is done with them.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing.

    Raises
    ------
    ConfigurationError
        If it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._notices = folder / "notices"
        self._maps = folder / "maps"
        try:
            for place in (self._notices, self._maps):
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"lvcgcn.folder: {folder} cannot be made ({error.strerror})."
            ) from error

    def notice(self, content: bytes) -> Path:
        """Return the path of a notice's bytes, on disk when this returns."""
        return _kept(self._notices, content, _suffix(content))

    def sky_map(self, content: bytes) -> Path:
        """Return the path of a sky map's bytes, on disk when this returns."""
        return _kept(self._maps, content, ".fits.gz" if content[:2] == b"\x1f\x8b" else ".fits")


def _kept(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / f"{hashlib.sha256(content).hexdigest()}{suffix}"
    if not path.exists():
        write_bytes(path, content)
    return path


def _suffix(content: bytes) -> str:
    if content.startswith(AVRO_MAGIC):
        return ".avro"
    start = content[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    return {b"<": ".xml", b"{": ".json"}.get(start[:1], ".bin")
