"""What a killed process left: frames that were written and not recorded."""

from __future__ import annotations

import logging
from pathlib import Path

from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session

from toros.archive.models import Exposure, Observation
from toros.common.errors import UnreadableFile
from toros.imaging.fits_io import BROKEN, quiet
from toros.imaging.headers import read_exposure, recorded
from toros.sky.night import night_of
from toros.telescope.frames import LEFT_OUT, RAW
from toros.telescope.state import Telescope, event

log = logging.getLogger(__name__)

# What astropy warns of: a sum that does not match, a file that is cut off.
_NOT_WHOLE = ("verification failed", "File may have been truncated")


def recover_files(telescope: Telescope) -> list[Path]:
    """Record and count the raw files of the last nights that the archive does not know.

    A frame is written, and then recorded and counted in one transaction: whoever dies in between
    leaves a file whose header says what it was for. A file that was whole before it got its name
    gets it now; what is not whole is swept away, for its exposure is repeated.
    """
    found = []
    for folder in _night_folders(telescope):
        for path in sorted(folder.glob(".*.fits")):
            _finish(path)
        for path in sorted(folder.glob("[!.]*.fits")):
            with telescope.sessions.begin() as session:
                if _record(telescope, session, path):
                    found.append(path)
    return found


def _night_folders(telescope: Telescope) -> list[Path]:
    """Return the folders of tonight and of the last night that was worked in."""
    root = telescope.config.data.raw.absolute()
    with telescope.sessions() as session:
        query = select(Exposure.date_obs).where(Exposure.date_obs.is_not(None))
        last = session.scalars(query.order_by(Exposure.date_obs.desc()).limit(1)).one_or_none()
    nights = {telescope.tonight()}
    if last is not None:
        nights.add(night_of(telescope.site, last))
    folders = [root / f"{night:%Y%m%d}" for night in sorted(nights)]
    return [folder for folder in folders if folder.is_dir()]


def _finish(path: Path) -> None:
    """Give a temporary file its name if it is whole, else remove it."""
    stem = path.name.lstrip(".").rsplit(".", 2)[0]
    target = path.with_name(f"{stem}{path.suffix}")
    if _is_whole(path) and not target.exists():
        path.replace(target)
        log.warning("%s was written when the daemon died: it has its name now.", target)
    else:
        path.unlink()
        log.warning("%s was not whole when the daemon died: removed.", path)


def _is_whole(path: Path) -> bool:
    try:
        with (
            quiet() as warned,
            path.open("rb") as raw,
            fits.open(raw, checksum=True, memmap=False) as file,
        ):
            whole = file[0].data is not None and "CHECKSUM" in file[0].header
    except BROKEN:
        return False
    # Other words would not do: what other threads are warned of is collected too.
    said = " ".join(str(one.message) for one in warned)
    return whole and not any(words in said for words in _NOT_WHOLE)


def _record(telescope: Telescope, session: Session, path: Path) -> bool:
    """Record and count one file if it is ours and nobody has; return whether it was so."""
    row = session.scalars(select(Exposure).where(Exposure.path == str(path))).one_or_none()
    if row is not None and (row.observation_id is not None or row.image_type != "light"):
        return False
    try:
        info = read_exposure(path)
    except UnreadableFile:
        log.exception("%s is among our raw files and cannot be read.", path)
        return False
    number, fault = info.header.get("OBSERVID"), info.header.get("FAULT")
    wanted = session.get(Observation, number) if isinstance(number, int) else None
    ours = str(info.header.get("CREATOR", "")).startswith("TOROS")
    # The preprocessor may have found the file first: it knows of no queue.
    if not ours or (row is not None and wanted is None):
        return False
    if row is None:
        row = Exposure(path=str(path), state=RAW, **recorded(info))
        session.add(row)
    row.state, row.error = (LEFT_OUT, str(fault)) if fault else (row.state, row.error)
    if wanted is not None:
        row.observation_id, row.alert = wanted.id, wanted.alert
        wanted.taken += 0 if fault else 1
    message = f"{path.name} was written and not recorded when the daemon died: recorded now."
    session.add(event(telescope.clock.now(), "recovered", message, data={"path": str(path)}))
    return True
