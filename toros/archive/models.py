"""The tables of the archive. The journal's table, `work_order`, is in `toros.common.order_row`.

Times are aware UTC, angles degrees ICRS, temperatures Celsius, exposure times seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from toros.common.database import Base
from toros.common.order_row import WorkOrderRow

JsonObject = dict[str, Any]
JsonList = list[Any]

__all__ = [
    "Alert",
    "Base",
    "Candidate",
    "Combination",
    "CombinationInput",
    "Event",
    "Exposure",
    "FileBatch",
    "FileBatchExposure",
    "Metric",
    "Observation",
    "StatusCode",
    "StepRun",
    "Target",
    "WorkOrderRow",
]


class FileBatch(Base):
    """A folder of frames that are reduced together."""

    __tablename__ = "file_batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, index=True)
    url: Mapped[str] = mapped_column(Text)
    folder: Mapped[str] = mapped_column(Text)  # where the raw files are read
    products: Mapped[str] = mapped_column(Text)  # where the products are written
    state: Mapped[str] = mapped_column(Text, index=True)  # new running done failed
    code: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    generation: Mapped[int] = mapped_column(default=1)  # one more at each restart_file_batch
    work_order: Mapped[str | None] = mapped_column(Text)  # that began this generation
    created: Mapped[datetime]
    finished: Mapped[datetime | None]


class Exposure(Base):
    """One raw FITS file and what its header says."""

    __tablename__ = "exposure"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(Text, unique=True)
    sha256: Mapped[str | None] = mapped_column(Text, index=True)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    image_type: Mapped[str | None] = mapped_column(Text, index=True)
    exptime: Mapped[float | None]
    filter: Mapped[str | None] = mapped_column(Text)
    gain: Mapped[float | None]  # electrons per ADU
    read_noise: Mapped[float | None]  # electrons
    ccd_temp: Mapped[float | None]
    binning_x: Mapped[int | None]
    binning_y: Mapped[int | None]
    naxis1: Mapped[int | None]
    naxis2: Mapped[int | None]
    date_obs: Mapped[datetime | None] = mapped_column(index=True)
    ra: Mapped[float | None]
    dec: Mapped[float | None]
    instrument: Mapped[str | None] = mapped_column(Text)
    read_out_mode: Mapped[str | None] = mapped_column(Text)
    object: Mapped[str | None] = mapped_column(Text)
    header: Mapped[JsonObject] = mapped_column(JSON, default=dict)
    decided_by: Mapped[JsonObject] = mapped_column(JSON, default=dict)  # key -> header card
    notes: Mapped[JsonList] = mapped_column(JSON, default=list)
    state: Mapped[str] = mapped_column(Text, index=True)  # raw ingested calibrated failed left_out
    code: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    observation_id: Mapped[int | None] = mapped_column(ForeignKey("observation.id"), index=True)
    alert: Mapped[str | None] = mapped_column(Text)

    observation: Mapped[Observation | None] = relationship(back_populates="exposures")


class FileBatchExposure(Base):
    """Which exposures are in which file batch."""

    __tablename__ = "file_batch_exposure"

    file_batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id"), primary_key=True)
    exposure_id: Mapped[int] = mapped_column(ForeignKey("exposure.id"), primary_key=True)


class Combination(Base):
    """A product: a master, a calibrated image, a stack, a difference."""

    __tablename__ = "combination"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_batch_id: Mapped[int | None] = mapped_column(ForeignKey("file_batch.id"), index=True)
    kind: Mapped[str] = mapped_column(Text, index=True)
    path: Mapped[str] = mapped_column(Text, unique=True)
    sha256: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[JsonObject] = mapped_column(JSON, default=dict)
    quality: Mapped[JsonObject] = mapped_column(JSON, default=dict)
    instrument: Mapped[str | None] = mapped_column(Text)
    read_out_mode: Mapped[str | None] = mapped_column(Text)
    gain: Mapped[float | None]
    filter: Mapped[str | None] = mapped_column(Text)
    exptime: Mapped[float | None]
    ccd_temp: Mapped[float | None]
    binning_x: Mapped[int | None]
    binning_y: Mapped[int | None]
    naxis1: Mapped[int | None]
    naxis2: Mapped[int | None]
    date_obs: Mapped[datetime | None]  # of the first input: the nearest master is taken
    version: Mapped[str] = mapped_column(Text)  # of TOROS
    created: Mapped[datetime]
    rejected: Mapped[str | None] = mapped_column(Text)  # why a person does not want it used

    inputs: Mapped[list[CombinationInput]] = relationship(
        back_populates="combination",
        foreign_keys="CombinationInput.combination_id",
        cascade="all, delete-orphan",
    )


class CombinationInput(Base):
    """One input of a product: an exposure or another product."""

    __tablename__ = "combination_input"
    __table_args__ = (
        CheckConstraint(
            "(exposure_id IS NULL) <> (input_combination_id IS NULL)", name="one_input"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"), index=True)
    exposure_id: Mapped[int | None] = mapped_column(ForeignKey("exposure.id"), index=True)
    input_combination_id: Mapped[int | None] = mapped_column(
        ForeignKey("combination.id"), index=True
    )
    role: Mapped[str] = mapped_column(Text)  # light bias dark flat

    combination: Mapped[Combination] = relationship(
        back_populates="inputs", foreign_keys=[combination_id]
    )


class Metric(Base):
    """One measured number of an exposure or a product."""

    __tablename__ = "metric"

    id: Mapped[int] = mapped_column(primary_key=True)
    exposure_id: Mapped[int | None] = mapped_column(ForeignKey("exposure.id"), index=True)
    combination_id: Mapped[int | None] = mapped_column(ForeignKey("combination.id"), index=True)
    name: Mapped[str] = mapped_column(Text, index=True)
    value: Mapped[float]
    unit: Mapped[str] = mapped_column(Text, default="")
    time: Mapped[datetime]


class StepRun(Base):
    """One unit of a reduction step: one master, one light."""

    __tablename__ = "step_run"
    __table_args__ = (UniqueConstraint("file_batch_id", "generation", "step", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    file_batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id"), index=True)
    generation: Mapped[int] = mapped_column(default=1)
    step: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)  # running done failed requeued superseded
    code: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=1)
    combination_id: Mapped[int | None] = mapped_column(ForeignKey("combination.id"))
    started: Mapped[datetime]
    finished: Mapped[datetime | None]


class StatusCode(Base):
    """What each status code means: the tree of errors, for people who read the database."""

    __tablename__ = "status_code"

    code: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    description: Mapped[str] = mapped_column(Text)


class Alert(Base):
    """One revision of one event, as a notice gave it."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("event", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(Text, index=True)
    revision: Mapped[int]
    digest: Mapped[str] = mapped_column(Text, unique=True)  # sha256 of what the notice says
    alert_type: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)  # observation test
    significant: Mapped[bool | None]
    time_created: Mapped[datetime | None]
    received: Mapped[datetime]
    transport: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)  # of the journaled bytes
    skymap: Mapped[str | None] = mapped_column(Text)  # path
    notice: Mapped[JsonObject] = mapped_column(JSON, default=dict)
    triggered: Mapped[bool] = mapped_column(default=False)
    why: Mapped[str] = mapped_column(Text, default="")


class Target(Base):
    """A host galaxy that an alert proposes to one observatory."""

    __tablename__ = "target"
    __table_args__ = (UniqueConstraint("alert_id", "observatory", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), index=True)
    observatory: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    ra: Mapped[float]
    dec: Mapped[float]
    rank: Mapped[int]
    score: Mapped[float]
    probability: Mapped[float]
    distance_mpc: Mapped[float | None]
    state: Mapped[str] = mapped_column(Text)  # selected relayed retracted
    work_order: Mapped[str | None] = mapped_column(Text)  # id of the order that relayed it


class Observation(Base):
    """An entry of the telescope's queue: so many frames of one target in one filter."""

    __tablename__ = "observation"

    id: Mapped[int] = mapped_column(primary_key=True)
    observatory: Mapped[str] = mapped_column(Text, default="", index=True)
    name: Mapped[str] = mapped_column(Text)
    ra: Mapped[float]
    dec: Mapped[float]
    filter: Mapped[str | None] = mapped_column(Text)
    exptime: Mapped[float]
    count: Mapped[int]
    taken: Mapped[int] = mapped_column(default=0)
    binning: Mapped[int] = mapped_column(default=1)
    priority: Mapped[float]
    weight: Mapped[float | None]
    constraints: Mapped[JsonObject] = mapped_column(JSON, default=dict)
    not_before: Mapped[datetime | None]
    expires: Mapped[datetime | None]
    alert: Mapped[str | None] = mapped_column(Text, index=True)
    revision: Mapped[int | None]
    state: Mapped[str] = mapped_column(Text, index=True)  # queued running done failed cancelled
    code: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    work_order: Mapped[str | None] = mapped_column(Text)
    user: Mapped[str | None] = mapped_column(Text)
    received: Mapped[datetime]
    finished: Mapped[datetime | None]

    exposures: Mapped[list[Exposure]] = relationship(back_populates="observation")


class Candidate(Base):
    """Something new on the sky, found on a difference image."""

    __tablename__ = "candidate"

    id: Mapped[int] = mapped_column(primary_key=True)
    combination_id: Mapped[int] = mapped_column(ForeignKey("combination.id"), index=True)
    alert: Mapped[str | None] = mapped_column(Text, index=True)
    ra: Mapped[float]
    dec: Mapped[float]
    magnitude: Mapped[float | None]
    magnitude_error: Mapped[float | None]
    signal_to_noise: Mapped[float | None]
    state: Mapped[str] = mapped_column(Text)
    found: Mapped[datetime]


class Event(Base):
    """Something that happened and that a person may ask about: a transition, a cause, a problem."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(index=True)
    module: Mapped[str] = mapped_column(Text, index=True)
    kind: Mapped[str] = mapped_column(Text)  # state safety device problem ...
    level: Mapped[str] = mapped_column(Text, default="info")  # info warning error
    message: Mapped[str] = mapped_column(Text)
    code: Mapped[int] = mapped_column(default=0)
    data: Mapped[JsonObject] = mapped_column(JSON, default=dict)
