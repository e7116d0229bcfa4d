"""No dark minute is waited through while something of the plan could be observed. Pure.

The search puts every block where it is worth most, and where there is more time than targets it
waits for a lower airmass. The night to come has weather, failures and alerts that the plan does not
know: what is observed now is done, and the free time is better had later.
"""

from __future__ import annotations

import numpy as np

from toros.telescope.problem import Ints, Problem
from toros.telescope.scheduler import Floats
from toros.telescope.search import Line, fill, timed

# A wait that is shorter is not looked at: no block is.
SHORTEST_S = 60.0


def packed(problem: Problem, line: Line) -> Line:
    """Return `line` with later blocks brought forward into its waits, where they fit whole.

    A block that is brought forward delays none of the others and costs none its place. Of several,
    it is the one that loses least by it.
    """
    place, moved = 0, False
    while place < len(line.order) - 1:
        forward = _brought_forward(problem, line, place)
        if forward is None:
            place += 1
        else:
            # Before the block that now stands here there may be time for another one.
            line, moved = forward, True
    return fill(problem, line) if moved else line


def _brought_forward(problem: Problem, line: Line, place: int) -> Line | None:
    """Return `line` with a later block moved to `place`; None where there is no wait to fill."""
    windows, order, starts = problem.windows, np.array(line.order), np.array(line.starts)
    before, free = problem.here, float(windows.unix[0])
    if place:
        before = order[place - 1]
        free = starts[place - 1] + windows.duration_s[before]
    following = order[place]
    wait_s = starts[place] - free - problem.transition_s[before, following]
    if wait_s < SHORTEST_S:
        return None
    later = order[place + 1 :]
    begin = windows.earliest(later, free + problem.transition_s[before, later])
    onward = problem.transition_s[later, following]
    fits = begin + windows.duration_s[later] + onward <= starts[place] + 1e-6
    if not fits.any():
        return None
    gain = _gain(problem, later, np.where(fits, begin, starts[place]), starts[place + 1 :])
    for column in np.argsort(np.where(fits, -gain, np.inf))[: int(fits.sum())]:
        rest = [index for index in line.order if index != later[column]]
        changed = timed(problem, [*rest[:place], int(later[column]), *rest[place:]])
        if len(changed.order) == len(line.order):
            return changed
    return None


def _gain(problem: Problem, index: Ints, begin: Floats, planned: Floats) -> Floats:
    """Return what a second of each block gains by an earlier begin; nearly always a loss."""
    change = problem.worth_at(index, begin) - problem.worth_at(index, planned)
    return np.asarray(change / problem.windows.duration_s[index])
