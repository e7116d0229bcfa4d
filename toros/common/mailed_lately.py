"""What a module has mailed lately, on disk: one that dies and is started again, again and again,
must not begin anew with its limit on mails each time.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toros.common.atomic import write_text
from toros.common.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lately:
    """What was mailed.

    Parameters
    ----------
    ages_s : list of float
        How long ago single errors were mailed.
    digest_age_s : float or None
        How long ago the last digest was.
    held : Counter
        What the next digest is of.
    """

    ages_s: list[float]
    digest_age_s: float | None
    held: Counter[str]


def recall(path: Path, window_s: float) -> Lately:
    """Return what an earlier process of this module mailed within `window_s`."""
    now = Clock().unix()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        # What lies ahead was written before the time was set back: nobody knows how long ago.
        ages = [now - each for each in found["mailed"] if 0.0 <= now - each < window_s]
        digests = [now - each for each in found["digest"] if 0.0 <= now - each < window_s]
        held = Counter({str(kind): int(count) for kind, count in found["held"].items()})
    except FileNotFoundError:
        return Lately([], None, Counter())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("What was mailed lately cannot be read in %s: %s.", path, error)
        return Lately([], None, Counter())
    return Lately(ages, min(digests, default=None), held)


def remember(
    path: Path, ages_s: Iterable[float], digest_age_s: float | None, held: Mapping[str, int]
) -> None:
    """Keep what was mailed lately for the next process."""
    now = Clock().unix()
    document = {
        "mailed": [now - age for age in ages_s],
        "digest": [] if digest_age_s is None else [now - digest_age_s],
        "held": dict(held),
    }
    try:
        write_text(path, json.dumps(document))
    except OSError as error:
        log.warning("What was mailed lately cannot be kept in %s: %s.", path, error)
