"""The names of all requests of all modules, for who must know them without loading the modules."""

from __future__ import annotations

COMMON = ("status", "work_order_status", "list_work_orders", "cancel")

# A test holds each list to the module's own table.
OF_MODULES = {
    "dome": (
        "dome_status", "safety_status", "lock_dome", "unlock_dome", "override_safety",
        "end_override", "open_dome", "close_dome", "set_azim", "set_for_coordinates",
        "park_position", "ParkPostion", "follow", "unfollow", "sync_azimuth",
    ),
    "telescope": (
        "observation", "targets", "retract_alert", "schedule", "prepare_night", "open_night",
        "close_night", "mode", "abort", "point", "expose", "park", "unpark", "focus",
        "cool_camera", "warm_camera", "take_calibration_frames",
    ),
    "preprocessor": (
        "calibrate_file_batch", "resume_file_batch", "restart_file_batch", "reject_master",
        "accept_master", "file_batch_status", "list_file_batches",
    ),
    "lvcgcn": ("process_alert", "list_alerts", "host_galaxies", "retract"),
}  # fmt: skip

# Of modules that the contract names and this version does not have yet: to allow them is no error.
TO_COME = ("ingest", "retry", "make_masters", "find_masters", "measure", "metrics")


def known_requests() -> list[str]:
    """Return every name that a request of a TOROS node can have."""
    return [*COMMON, *(name for names in OF_MODULES.values() for name in names), *TO_COME]


def canonical(name: str) -> str:
    """Return `name` as it is looked up: case, underscores, hyphens and spaces do not matter."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
