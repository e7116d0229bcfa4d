"""The first tables.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import toros.common.database

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("alert_type", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("significant", sa.Boolean(), nullable=True),
        sa.Column("time_created", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("received", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("skymap", sa.Text(), nullable=True),
        sa.Column("notice", sa.JSON(), nullable=False),
        sa.Column("triggered", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("digest", name=op.f("uq_alert_digest")),
        sa.UniqueConstraint("event", "revision", name=op.f("uq_alert_event_revision")),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_event"), ["event"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_module"), ["module"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_time"), ["time"], unique=False)

    op.create_table(
        "file_batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("products", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("work_order", sa.Text(), nullable=True),
        sa.Column("created", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_batch")),
    )
    with op.batch_alter_table("file_batch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_file_batch_name"), ["name"], unique=False)
        batch_op.create_index(batch_op.f("ix_file_batch_state"), ["state"], unique=False)

    op.create_table(
        "observation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observatory", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("exptime", sa.Double(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("binning", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=True),
        sa.Column("constraints", sa.JSON(), nullable=False),
        sa.Column("not_before", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("expires", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("alert", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("work_order", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("received", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation")),
    )
    with op.batch_alter_table("observation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_observation_alert"), ["alert"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_observation_observatory"), ["observatory"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_observation_state"), ["state"], unique=False)

    op.create_table(
        "status_code",
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_status_code")),
    )
    op.create_table(
        "work_order",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("priority", sa.Double(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("received", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("finished", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_work_order")),
        sa.UniqueConstraint("module", "id", name=op.f("uq_work_order_module_id")),
    )
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_order_state"), ["state"], unique=False)

    op.create_table(
        "combination",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_batch_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("read_out_mode", sa.Text(), nullable=True),
        sa.Column("gain", sa.Double(), nullable=True),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("exptime", sa.Double(), nullable=True),
        sa.Column("ccd_temp", sa.Double(), nullable=True),
        sa.Column("binning_x", sa.Integer(), nullable=True),
        sa.Column("binning_y", sa.Integer(), nullable=True),
        sa.Column("naxis1", sa.Integer(), nullable=True),
        sa.Column("naxis2", sa.Integer(), nullable=True),
        sa.Column("date_obs", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("created", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_batch_id"],
            ["file_batch.id"],
            name=op.f("fk_combination_file_batch_id_file_batch"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_combination")),
        sa.UniqueConstraint("path", name=op.f("uq_combination_path")),
    )
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_file_batch_id"), ["file_batch_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_combination_kind"), ["kind"], unique=False)

    op.create_table(
        "exposure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("image_type", sa.Text(), nullable=True),
        sa.Column("exptime", sa.Double(), nullable=True),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("gain", sa.Double(), nullable=True),
        sa.Column("read_noise", sa.Double(), nullable=True),
        sa.Column("ccd_temp", sa.Double(), nullable=True),
        sa.Column("binning_x", sa.Integer(), nullable=True),
        sa.Column("binning_y", sa.Integer(), nullable=True),
        sa.Column("naxis1", sa.Integer(), nullable=True),
        sa.Column("naxis2", sa.Integer(), nullable=True),
        sa.Column("date_obs", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ra", sa.Double(), nullable=True),
        sa.Column("dec", sa.Double(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("read_out_mode", sa.Text(), nullable=True),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("decided_by", sa.JSON(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("observation_id", sa.Integer(), nullable=True),
        sa.Column("alert", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.id"],
            name=op.f("fk_exposure_observation_id_observation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exposure")),
        sa.UniqueConstraint("path", name=op.f("uq_exposure_path")),
    )
    with op.batch_alter_table("exposure", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exposure_date_obs"), ["date_obs"], unique=False)
        batch_op.create_index(batch_op.f("ix_exposure_image_type"), ["image_type"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_exposure_observation_id"), ["observation_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_exposure_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_exposure_state"), ["state"], unique=False)

    op.create_table(
        "target",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("observatory", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("distance_mpc", sa.Double(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("work_order", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_target_alert_id_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target")),
        sa.UniqueConstraint(
            "alert_id", "observatory", "name", name=op.f("uq_target_alert_id_observatory_name")
        ),
    )
    with op.batch_alter_table("target", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_target_alert_id"), ["alert_id"], unique=False)

    op.create_table(
        "candidate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=True),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("magnitude", sa.Double(), nullable=True),
        sa.Column("magnitude_error", sa.Double(), nullable=True),
        sa.Column("signal_to_noise", sa.Double(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("found", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
            name=op.f("fk_candidate_combination_id_combination"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidate")),
    )
    with op.batch_alter_table("candidate", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_candidate_alert"), ["alert"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_candidate_combination_id"), ["combination_id"], unique=False
        )

    op.create_table(
        "combination_input",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=True),
        sa.Column("input_combination_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(exposure_id IS NULL) <> (input_combination_id IS NULL)",
            name=op.f("ck_combination_input_one_input"),
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
            name=op.f("fk_combination_input_combination_id_combination"),
        ),
        sa.ForeignKeyConstraint(
            ["exposure_id"], ["exposure.id"], name=op.f("fk_combination_input_exposure_id_exposure")
        ),
        sa.ForeignKeyConstraint(
            ["input_combination_id"],
            ["combination.id"],
            name=op.f("fk_combination_input_input_combination_id_combination"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_combination_input")),
    )
    with op.batch_alter_table("combination_input", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_input_combination_id"), ["combination_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_combination_input_exposure_id"), ["exposure_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_combination_input_input_combination_id"),
            ["input_combination_id"],
            unique=False,
        )

    op.create_table(
        "file_batch_exposure",
        sa.Column("file_batch_id", sa.Integer(), nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exposure_id"],
            ["exposure.id"],
            name=op.f("fk_file_batch_exposure_exposure_id_exposure"),
        ),
        sa.ForeignKeyConstraint(
            ["file_batch_id"],
            ["file_batch.id"],
            name=op.f("fk_file_batch_exposure_file_batch_id_file_batch"),
        ),
        sa.PrimaryKeyConstraint(
            "file_batch_id", "exposure_id", name=op.f("pk_file_batch_exposure")
        ),
    )
    op.create_table(
        "metric",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exposure_id", sa.Integer(), nullable=True),
        sa.Column("combination_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("time", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
            name=op.f("fk_metric_combination_id_combination"),
        ),
        sa.ForeignKeyConstraint(
            ["exposure_id"], ["exposure.id"], name=op.f("fk_metric_exposure_id_exposure")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric")),
    )
    with op.batch_alter_table("metric", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_metric_combination_id"), ["combination_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_metric_exposure_id"), ["exposure_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_metric_name"), ["name"], unique=False)

    op.create_table(
        "step_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_batch_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=True),
        sa.Column("started", toros.common.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished", toros.common.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["combination.id"],
            name=op.f("fk_step_run_combination_id_combination"),
        ),
        sa.ForeignKeyConstraint(
            ["file_batch_id"], ["file_batch.id"], name=op.f("fk_step_run_file_batch_id_file_batch")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_step_run")),
        sa.UniqueConstraint(
            "file_batch_id",
            "generation",
            "step",
            "key",
            name=op.f("uq_step_run_file_batch_id_generation_step_key"),
        ),
    )
    with op.batch_alter_table("step_run", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_step_run_file_batch_id"), ["file_batch_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("step_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_step_run_file_batch_id"))

    op.drop_table("step_run")
    with op.batch_alter_table("metric", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_metric_name"))
        batch_op.drop_index(batch_op.f("ix_metric_exposure_id"))
        batch_op.drop_index(batch_op.f("ix_metric_combination_id"))

    op.drop_table("metric")
    op.drop_table("file_batch_exposure")
    with op.batch_alter_table("combination_input", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_input_input_combination_id"))
        batch_op.drop_index(batch_op.f("ix_combination_input_exposure_id"))
        batch_op.drop_index(batch_op.f("ix_combination_input_combination_id"))

    op.drop_table("combination_input")
    with op.batch_alter_table("candidate", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_candidate_combination_id"))
        batch_op.drop_index(batch_op.f("ix_candidate_alert"))

    op.drop_table("candidate")
    with op.batch_alter_table("target", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_target_alert_id"))

    op.drop_table("target")
    with op.batch_alter_table("exposure", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exposure_state"))
        batch_op.drop_index(batch_op.f("ix_exposure_sha256"))
        batch_op.drop_index(batch_op.f("ix_exposure_observation_id"))
        batch_op.drop_index(batch_op.f("ix_exposure_image_type"))
        batch_op.drop_index(batch_op.f("ix_exposure_date_obs"))

    op.drop_table("exposure")
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_kind"))
        batch_op.drop_index(batch_op.f("ix_combination_file_batch_id"))

    op.drop_table("combination")
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_order_state"))

    op.drop_table("work_order")
    op.drop_table("status_code")
    with op.batch_alter_table("observation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_observation_state"))
        batch_op.drop_index(batch_op.f("ix_observation_observatory"))
        batch_op.drop_index(batch_op.f("ix_observation_alert"))

    op.drop_table("observation")
    with op.batch_alter_table("file_batch", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_file_batch_state"))
        batch_op.drop_index(batch_op.f("ix_file_batch_name"))

    op.drop_table("file_batch")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_time"))
        batch_op.drop_index(batch_op.f("ix_event_module"))

    op.drop_table("event")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alert_event"))

    op.drop_table("alert")
