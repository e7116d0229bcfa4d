"""Runs a step: each unit once, its results and the word "done" in one transaction."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Event, StepRun
from toros.common.errors import CalibrationError, DiskFull, TorosError
from toros.preprocessor.run import Outcome, Problem, Run, Step, Unit

log = logging.getLogger(__name__)


def run_step(step: Step[Any, Any], run: Run) -> None:
    """Do every unit of `step` that is not done yet.

    A unit that fails is recorded with its status code and logged at ERROR, and the others go on.
    Database work stays in the calling thread; `run.threads` units are worked on at a time.

    Raises
    ------
    Cancelled
        When the run was cancelled; units that are worked on are finished first.
    """
    with run.sessions.begin() as session:
        units = step.units(session, run)
        begun = queries.step_runs_in(session, run.file_batch_id, run.generation, step.name)
        finished = {row.key for row in begun if _is_finished(row, run)}
        pending = [unit for unit in units if unit.key not in finished]
        _leave_out(begun, units)
    total, done = len(units), len(units) - len(pending)
    run.progress(step.name, done, total)
    with ThreadPoolExecutor(run.threads, thread_name_prefix=step.name) as pool:
        for ended in _in_turn(pool, step, run, iter(pending)):
            done += ended
            run.progress(step.name, done, total)
    if step.makes_products:
        with run.sessions.begin() as session:
            _supersede(session, step, run, units)


def _leave_out(begun: Sequence[StepRun], units: Sequence[Unit[Any]]) -> None:
    """Mark what was to be done again, and is a unit no more: what it was made of is not there."""
    wanted = {unit.key for unit in units}
    for row in begun:
        if row.state == "requeued" and row.key not in wanted:
            row.state = "superseded"


def _supersede(
    session: Session, step: Step[Any, Any], run: Run, units: Sequence[Unit[Any]]
) -> None:
    """Mark what is a unit no more: since more frames have come, a master is of other frames.

    Where that one has failed, the product of before serves on.
    """
    begun = queries.step_runs_in(session, run.file_batch_id, run.generation, step.name)
    states = {row.key: row.state for row in begun}
    failed = [unit.exposures for unit in units if states.get(unit.key) != "done"]
    waiting = frozenset[int]().union(*failed)
    wanted = {unit.key for unit in units}
    for row in begun:
        gone = row.key not in wanted and row.state != "superseded"
        if gone and not waiting & _exposures_of(session, row):
            row.state = "superseded"


def _exposures_of(session: Session, row: StepRun) -> set[int]:
    if row.combination_id is None:
        return set()
    return {exposure.id for _, exposure in queries.input_exposures(session, row.combination_id)}


def _is_finished(row: StepRun, run: Run) -> bool:
    if row.state not in ("done", "failed"):
        return False  # left by a dead process, or requeued
    return row.code == 0 or not run.retry


def _in_turn(
    pool: ThreadPoolExecutor, step: Step[Any, Any], run: Run, pending: Iterator[Unit[Any]]
) -> Iterator[int]:
    """Do units, never with more begun than there are threads; yield how many have ended.

    The results of some and the beginning of the next are one transaction: each waits for the disk.
    """
    begun: dict[Future[Any], Unit[Any]] = {}
    ended: list[tuple[Unit[Any], Future[Any]]] = []
    while True:
        free = 0 if run.cancelled.is_set() else run.threads - len(begun)
        following = list(islice(pending, free))
        if ended or following:
            with run.sessions.begin() as session:
                news = [_finish(session, step, run, *item) for item in ended]
                for unit in following:
                    _begin(session, step, run, unit)
            begun |= {pool.submit(step.work, run, unit): unit for unit in following}
            _tell(step, news)
            yield len(ended)
        if not begun:
            run.raise_if_cancelled()
            return
        finished, _ = wait(begun, return_when=FIRST_COMPLETED)
        ended = [(begun.pop(future), future) for future in finished]


def _begin(session: Session, step: Step[Any, Any], run: Run, unit: Unit[Any]) -> None:
    found = queries.step_run(session, run.file_batch_id, run.generation, step.name, unit.key)
    if found is None:
        session.add(
            StepRun(
                file_batch_id=run.file_batch_id,
                generation=run.generation,
                step=step.name,
                key=unit.key,
                state="running",
                started=run.clock.now(),
            )
        )
    else:
        found.state, found.code, found.message = "running", 0, ""
        found.attempts += 1
        found.started, found.finished = run.clock.now(), None


def _finish(
    session: Session, step: Step[Any, Any], run: Run, unit: Unit[Any], future: Future[Any]
) -> Problem | None:
    """Record what became of a unit; return its problem if it is news."""
    # Only the work is guarded: when the archive itself fails, the whole run must stop.
    try:
        product = future.result()
    except TorosError as error:
        return _fail(session, step, run, unit, error)
    except OSError as error:
        return _fail(session, step, run, unit, said(unit.key, error))
    except Exception as error:
        # One odd frame must not end the batch; what we did not foresee is logged in full.
        log.exception("%s of %s failed in a way that was not foreseen.", step.name, unit.key)
        text = f"{unit.key}: {type(error).__name__}: {error}"
        return _fail(session, step, run, unit, TorosError(text), level=logging.WARNING)
    outcome = step.record(session, run, unit, product)
    return _mark(session, step, run, unit, "done", outcome)


def said(name: str, error: OSError) -> CalibrationError:
    """Return what an error of the system means for a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        # Not the unit's name: all that lack room have one cause, which is said once.
        return DiskFull(f"There is no room for the products: {error.strerror}.")
    return CalibrationError(f"{name}: {error}.")


def _fail(
    session: Session,
    step: Step[Any, Any],
    run: Run,
    unit: Unit[Any],
    error: TorosError,
    level: int = logging.ERROR,
) -> Problem | None:
    step.fail(session, run, unit, error)
    outcome = Outcome(problem=Problem(error.code, error.message, level))
    return _mark(session, step, run, unit, "failed", outcome)


def _mark(
    session: Session, step: Step[Any, Any], run: Run, unit: Unit[Any], state: str, outcome: Outcome
) -> Problem | None:
    """Mark the unit and return its problem if no other unit of the step had the same before.

    One missing master is one event and one mail, however many frames wanted it.
    """
    row = queries.step_run(session, run.file_batch_id, run.generation, step.name, unit.key)
    if row is None:
        raise CalibrationError(f"The archive lost the record of {step.name} of {unit.key}.")
    problem = outcome.problem
    row.state = state
    row.combination_id = outcome.combination_id
    row.code = problem.code if problem else 0
    row.message = problem.message if problem else ""
    row.finished = run.clock.now()
    if problem is None or queries.has_same_problem(session, row):
        return None
    session.add(
        Event(
            time=run.clock.now(),
            module="preprocessor",
            kind="problem",
            level="error" if problem.level >= logging.ERROR else "warning",
            message=problem.message,
            code=problem.code,
            data={"file_batch": run.file_batch_id, "step": step.name, "key": unit.key},
        )
    )
    return problem


def _tell(step: Step[Any, Any], news: Sequence[Problem | None]) -> None:
    # After the commit: a log handler that sends mail must not hold the database.
    for problem in news:
        if problem is not None:
            log.log(problem.level, "Code %d in %s: %s", problem.code, step.name, problem.message)
