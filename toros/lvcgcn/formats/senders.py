"""Who sends notices that are not of gravitational waves."""

from __future__ import annotations

#: Words of an IVORN or of a schema's address, and the mission that they tell.
SENDERS = {
    "fermi": "Fermi",
    "swift": "Swift",
    "icecube": "IceCube",
    "amon": "IceCube",
    "svom": "SVOM",
    "einstein": "Einstein Probe",
    "integral": "INTEGRAL",
    "gaia": "Gaia",
}
