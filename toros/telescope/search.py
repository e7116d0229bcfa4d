"""The search for a good order of blocks: a seed, then a bounded local search. Pure.

A plan is an order of targets; each block begins as soon as the one before it has ended, the
telescope has moved, and its own constraints allow. Starting earlier never makes what follows
impossible, so that the order is all there is to search.

1. *Seed.* Blocks of one length: the best assignment of targets to equal slots of the night
   (linear sum assignment; Jonker & Volgenant 1987). Of different lengths: insertion, the best gain
   first.
2. *Local search.* Every other block is taken out, and all of them are put back at once, or others
   in their stead, by the best assignment to the gaps, with slews and filter changes at their price:
   the neighbours of each gap stand still, so that the costs are exact. Then the other half; then
   what is left over is inserted where it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from toros.telescope.problem import Ints, Problem
from toros.telescope.scheduler import Bools, Floats

ROUNDS = 24
BARREN_ROUNDS = 6  # after so many rounds without a better plan it is shaken
SHAKE = 0.06  # the share of the blocks that are taken out then
GIVE_S = (0.0, 60.0)  # how far a reassignment may push the next block
PASSES = 3  # over the line, to exchange neighbours
SEED = 2017  # the same targets get the same plan
# Blocks whose lengths differ by less than this are of one length.
SAME_LENGTH_S = 1.0
# The share of the mean transition that an assigned slot allows: the search makes slews short.
SLOT_ALLOWANCE = 0.25


@dataclass(frozen=True)
class Line:
    """An order of blocks with their times; infeasible blocks are dropped.

    Attributes
    ----------
    order : list of int
    starts : list of float
        Unix seconds.
    """

    order: list[int]
    starts: list[float]


def best_order(problem: Problem) -> Line:
    """Return the best order of blocks that the search finds."""
    rng = np.random.default_rng(SEED)
    line = best = fill(problem, timed(problem, _seed(problem)))
    best_worth = _worth(problem, best)
    barren = 0
    for number in range(ROUNDS):
        give_s = GIVE_S[number // 2 % len(GIVE_S)]
        line = fill(problem, timed(problem, reassign(problem, line, number % 2, give_s)))
        worth = _worth(problem, line)
        if worth > best_worth * (1 + 1e-9):
            best, best_worth, barren = line, worth, 0
        else:
            barren += 1
        if barren == BARREN_ROUNDS:
            if len(best.order) < 2:
                break
            line, barren = _shaken(problem, best, rng), 0
    return polish(problem, best)


def polish(problem: Problem, line: Line) -> Line:
    """Return `line` with neighbours exchanged where that gives more, until none does.

    The reassignment cannot do this: it never moves two neighbours at once.
    """
    best, best_worth = line, _worth(problem, line)
    for _ in range(PASSES):
        for place in range(len(best.order) - 1):
            # An exchange may have cost a block its place.
            if place + 1 < len(best.order) and _pair_gains(problem, best, place):
                order = best.order.copy()
                order[place : place + 2] = order[place + 1], order[place]
                swapped = timed(problem, order)
                worth = _worth(problem, swapped)
                if worth > best_worth * (1 + 1e-12):
                    best, best_worth = swapped, worth
        if best is line:
            break
        line = best
    return best


def _pair_gains(problem: Problem, line: Line, place: int) -> bool:
    """Return whether the worth of two neighbours alone is greater the other way round."""
    first, second = line.order[place : place + 2]
    begin, after = line.starts[place : place + 2]
    worth, windows = problem.worth, problem.windows
    node, later = (int((t - windows.unix[0]) / windows.step_s + 1e-9) for t in (begin, after))
    # Where the second would begin, the first having gone before, to within a slew.
    shifted = min(node + round(windows.duration_s[second] / windows.step_s), worth.shape[1] - 1)
    there = worth[first, node] + worth[second, later]
    other = worth[second, node] + worth[first, shifted]
    return bool(other > there)


def _shaken(problem: Problem, line: Line, rng: np.random.Generator) -> Line:
    """Return `line` without some of its blocks, the less dense the likelier, to begin again."""
    order, starts = np.array(line.order), np.array(line.starts)
    density = problem.worth_at(order, starts) / problem.windows.duration_s[order]
    drop = max(int(SHAKE * order.size), 1)
    luck = density * rng.uniform(size=order.size)
    kept = np.sort(np.argsort(luck)[drop:])
    return fill(problem, timed(problem, order[kept].tolist()))


def _worth(problem: Problem, line: Line) -> float:
    if not line.order:
        return 0.0
    return float(problem.worth_at(np.array(line.order), np.array(line.starts)).sum())


def timed(problem: Problem, order: Sequence[int]) -> Line:
    """Return `order` with the earliest times; what does not fit in its place is left out."""
    windows = problem.windows
    unix, step, count = windows.unix, windows.step_s, windows.unix.size
    first = float(unix[0])
    kept: list[int] = []
    starts: list[float] = []
    free, before = first, problem.here
    for index in order:
        ready = free + float(problem.transition_s[before, index])
        node = int((ready - first) / step + 1e-9)
        if node >= count:
            continue
        length = float(windows.duration_s[index])
        if windows.until_unix[index, node] < ready + length - 1e-6:
            node = int(windows.next_node[index, node + 1])
            if node >= count:
                continue
            ready = float(unix[node])
        kept.append(index)
        starts.append(ready)
        free, before = ready + length, index
    return Line(kept, starts)


def _seed(problem: Problem) -> list[int]:
    lengths = problem.windows.duration_s
    if lengths.size and np.ptp(lengths) < SAME_LENGTH_S:
        return _assigned(problem)
    return []


def _assigned(problem: Problem) -> list[int]:
    """Return the best assignment of targets to equal slots, in order of time."""
    windows = problem.windows
    span = float(windows.unix[-1] - windows.unix[0])
    moves = SLOT_ALLOWANCE * float(problem.transition_s[:-1].mean())
    slots = int((span + moves) / (windows.duration_s.max() + moves))
    times = windows.unix[0] + np.arange(slots) * (windows.duration_s.max() + moves)
    index = np.arange(windows.duration_s.size)[:, None]
    begins = windows.earliest(index, times)
    profit = np.where(begins == times, problem.worth_at(index, times), 0.0)
    chosen = _assign(profit.T)
    return [target for target in chosen if target >= 0]


def _assign(profit: Floats) -> list[int]:
    """Return which column each row gets so that the sum is greatest; -1 where none pays.

    Parameters
    ----------
    profit : ndarray, shape (rows, columns)
        What does not pay is zero or negative, and is never chosen.
    """
    rows, columns = profit.shape
    chosen = [-1] * rows
    if not rows or not columns:
        return chosen
    paying = np.maximum(profit, 0.0)
    for row, column in zip(*linear_sum_assignment(paying, maximize=True), strict=True):
        if paying[row, column] > 0:
            chosen[row] = int(column)
    return chosen


def price_of_time(problem: Problem, line: Line) -> float:
    """Return what a second of the night is worth: the least that one on target gives.

    Nearly nothing while all that fits is in the plan.
    """
    lengths = problem.windows.duration_s
    order = np.array(line.order)
    density = problem.worth_at(order, np.array(line.starts)) / lengths[order]
    least = float(np.quantile(density, 0.05))
    out = np.setdiff1d(np.flatnonzero(problem.windows.ever), order)
    return least if out.size else 1e-6 * least


def reassign(problem: Problem, line: Line, parity: int, give_s: float = 0.0) -> list[int]:
    """Return the order with every other block chosen anew, all at once, its neighbours fixed."""
    if len(line.order) < 2:
        return line.order
    windows, order, starts = problem.windows, np.array(line.order), np.array(line.starts)
    places = np.arange(parity, order.size, 2)
    fixed = np.delete(order, places)
    pool = np.setdiff1d(np.flatnonzero(windows.ever), fixed)
    padded = np.concatenate([[problem.here], order])
    before = padded[places]
    ends = np.concatenate([[windows.unix[0]], starts + windows.duration_s[order]])[places]
    to = problem.transition_s[np.ix_(before, pool)]
    begin = windows.earliest(pool[None, :], ends[:, None] + to)
    after = np.append(order, -1)[places + 1]
    onward = np.where(after[:, None] >= 0, problem.transition_s[np.ix_(pool, after)].T, 0.0)
    latest = np.append(starts, windows.unix[-1])[places + 1]
    if give_s:
        # A gap may push what follows, as far as that can be pushed; timing the line settles it.
        furthest = np.append(_latest(problem, line), windows.unix[-1])[places + 1]
        latest = np.minimum(latest + give_s, furthest)
    fits = begin + windows.duration_s[pool] + onward <= latest[:, None] + 1e-6
    worth = problem.worth_at(pool[None, :], np.where(fits, begin, windows.unix[0]))
    lost_s = np.where(fits, begin - ends[:, None], 0.0) + onward
    if np.ptp(windows.duration_s) >= SAME_LENGTH_S:
        lost_s = lost_s + windows.duration_s[pool]
    gain = worth - price_of_time(problem, line) * lost_s
    # Whatever is worth something may stay; its price only decides what stands where.
    chosen = _assign(np.where(fits, np.maximum(gain, 1e-9 * worth), 0.0))
    new = order.copy()
    new[places] = [pool[column] if column >= 0 else -1 for column in chosen]
    return [int(index) for index in new if index >= 0]


def fill(problem: Problem, line: Line) -> Line:
    """Return `line` with left-out blocks inserted wherever they fit, the best gain first."""
    windows = problem.windows
    out = np.setdiff1d(np.flatnonzero(windows.ever), line.order)
    while out.size:
        gain, fits = _gains(problem, line, out)
        if not fits.any():
            return line
        place, column = np.unravel_index(int(np.argmax(gain)), gain.shape)
        order = line.order.copy()
        order.insert(int(place), int(out[column]))
        line = timed(problem, order)
        # A block that fits nowhere now fits nowhere in a fuller night.
        others = np.arange(out.size) != column
        out = out[fits.any(axis=0) & others]
    return line


def _gains(problem: Problem, line: Line, out: Ints) -> tuple[Floats, Bools]:
    """Return what each of `out` gives at each place of the line, shape (places, out)."""
    windows, order = problem.windows, np.array(line.order, dtype=np.int64)
    ends = np.array(line.starts) + windows.duration_s[order]
    free = np.concatenate([[windows.unix[0]], ends])
    before = np.concatenate([[problem.here], order])
    begin = windows.earliest(out[None, :], free[:, None] + problem.transition_s[before][:, out])
    onward = np.zeros_like(begin)
    onward[:-1] = problem.transition_s[:-1][np.ix_(out, order)].T
    latest = np.append(_latest(problem, line), windows.unix[-1])
    length = windows.duration_s[out]
    fits = begin + length + onward <= latest[:, None] + 1e-6
    worth = problem.worth_at(out[None, :], np.where(fits, begin, windows.unix[0]))
    # By what a second of the night gives, so that of two the shorter may win.
    spent = length + onward + np.where(fits, begin - free[:, None], 0.0)
    return np.where(fits, worth / spent, -np.inf), fits


def _latest(problem: Problem, line: Line) -> Floats:
    """Return when each block of the line can begin at the latest so that all after it still fit."""
    windows = problem.windows
    latest = np.empty(len(line.order))
    bound = float(windows.unix[-1])
    for place in range(len(line.order) - 1, -1, -1):
        index = line.order[place]
        length = float(windows.duration_s[index])
        start = line.starts[place]
        # Within the run of allowed time in which it stands now.
        node = int((start - windows.unix[0]) / windows.step_s + 1e-9)
        run = float(windows.until_unix[index, node]) - length
        latest[place] = max(min(bound - length, run), start)
        if place:
            move = float(problem.transition_s[line.order[place - 1], index])
            bound = latest[place] - move
    return latest
