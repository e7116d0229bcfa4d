"""Which notices of the inbox may wait for which others.

A notice that brings its map along and can move a telescope waits for no other kind. The first look
is at bytes, for after days without a network there are hundreds of megabytes of them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnreadableNotice
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.maps import may_download

_TEST_EVENT = re.compile(rb'"superevent_id"\s*:\s*"[MTmt]')


class Lane(StrEnum):
    """Each is a thread of the inbox."""

    QUICK = "inbox"
    DOWNLOADS = "inbox-downloads"  # a host of maps that says nothing holds up a minute of these
    TESTS = "inbox-tests"  # hundreds of mocks a week: none of them must hold up an event


def lane_of(path: Path, settings: LvcgcnSettings) -> Lane:
    """Return in which lane the notice of a file is processed.

    Raises
    ------
    OSError
        If it cannot be read now.
    """
    if not path.exists():
        return Lane.QUICK  # whose processing puts that on record
    content = path.read_bytes()
    is_json = path.suffix == ".json"
    if is_json and not settings.drill_mode and _TEST_EVENT.search(content):
        return Lane.TESTS
    # The LVK's JSON brings its map along; most need not be read for this.
    if is_json and b"healpix_url" not in content:
        return Lane.QUICK
    try:
        notice = read_notice(content)
    except UnreadableNotice:
        return Lane.QUICK  # likewise
    if notice.label and not settings.drill_mode:
        return Lane.TESTS
    return Lane.DOWNLOADS if may_download(notice, settings) else Lane.QUICK
