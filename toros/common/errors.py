"""The tree of errors. Each class carries the status code that a reply and the archive record.

::

    TorosError                          1   something failed that has no better name
    ├── ConfigurationError             20
    ├── DatabaseNotReady               21
    │   └── SchemaNotCurrent           23
    ├── AddressInUse                   22
    ├── FolderNotReady                 24
    ├── RefusedOrder                   10   an order that is not taken
    │   ├── UnknownRequest             11
    │   ├── InvalidField               12
    │   ├── OrderConflict              13
    │   ├── UnknownOrder               14
    │   └── WrongState                 15
    ├── Cancelled                      16
    ├── Interrupted                    17
    ├── LostOwnership                  18
    ├── NotAuthenticated               40   answered as Fault 401
    ├── Forbidden                      41   answered as Fault 403
    ├── MessageNotSent                 42   a mail or a note to a webhook
    ├── TransferError                  50   a file over HTTP(S)
    │   ├── AddressNotAllowed          51
    │   ├── NothingThere               52
    │   ├── TransferBroken             53
    │   └── TransferTooLarge           54
    ├── PeerError                      30   another module
    │   ├── PeerUnreachable            31
    │   ├── PeerTimeout                32
    │   └── PeerRefused                33
    ├── CalibrationError              100
    │   ├── NoFilesFound              101
    │   ├── UnreadableFile            102
    │   ├── MixedShapes               103
    │   ├── NoMasterBias              104
    │   ├── NoMasterDark              105
    │   ├── NoMasterFlat              106
    │   ├── UnknownImageType          107
    │   ├── AlreadyCalibrated         108
    │   ├── SourceNotAllowed          109
    │   ├── UnusableFrame             110
    │   ├── DiskFull                  111
    │   ├── SourceGone                112
    │   ├── TransferIncomplete        113
    │   ├── WrongChecksum             114
    │   ├── UnusableArchive           115
    │   ├── MasterRefused             116
    │   └── FolderInUse               117
    ├── TelescopeError                200
    │   ├── DeviceError               210   any Alpaca device
    │   │   ├── DeviceUnreachable     211
    │   │   ├── DeviceTimeout         212
    │   │   ├── DeviceRefused         213
    │   │   └── ReadBackMismatch      214
    │   ├── NotObservable             220
    │   ├── NotSafe                   221
    │   ├── DomeNotReady              222
    │   └── UnusableTargetTable       223
    ├── DomeError                     300
    │   ├── DomeUnsafe                301
    │   ├── ShutterStuck              302
    │   └── NotArrived                303
    ├── AlertError                    400
    │   ├── UnreadableNotice          401
    │   ├── UnusableSkyMap            402
    │   ├── UnknownEvent              403
    │   ├── NoHosts                   404
    │   └── UnusableCatalogue         405
    └── IngestError                   500
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import ClassVar


class TorosError(Exception):
    """Something failed that has no better name."""

    code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        # One sentence: what was wrong and, where there is one, the mend.
        super().__init__(message)
        self.message = message


class ConfigurationError(TorosError):
    """The configuration is missing, misspelt or impossible."""

    code = 20


class DatabaseNotReady(TorosError):
    """The database cannot be reached or its schema is not the current one."""

    code = 21


class SchemaNotCurrent(DatabaseNotReady):
    """The database's schema is not the one that this version of TOROS works with."""

    code = 23


class AddressInUse(TorosError):
    """Another process listens where a module should."""

    code = 22


class FolderNotReady(TorosError):
    """A folder is none, or may not be written to."""

    code = 24


class RefusedOrder(TorosError):
    """The work order is not taken."""

    code = 10


class UnknownRequest(RefusedOrder):
    """The module has no request of that name."""

    code = 11


class InvalidField(RefusedOrder):
    """A field of the work order is missing, unknown or of the wrong kind."""

    code = 12


class OrderConflict(RefusedOrder):
    """An order of the same id but other content was taken before."""

    code = 13


class UnknownOrder(RefusedOrder):
    """No work order has that id."""

    code = 14


class WrongState(RefusedOrder):
    """The module cannot do that in the state it is in."""

    code = 15


class Cancelled(TorosError):
    """The work order was cancelled."""

    code = 16


class Interrupted(TorosError):
    """The work order was interrupted and is not taken up again."""

    code = 17


class LostOwnership(TorosError):
    """Another worker owns the work order now."""

    code = 18


class NotAuthenticated(TorosError):
    """It is not known who sends the work order."""

    code = 40


class Forbidden(TorosError):
    """The sender may not send such work orders."""

    code = 41


class MessageNotSent(TorosError):
    """A message to people could not be sent.

    Parameters
    ----------
    message : str
        What went wrong.
    refused : sequence of str, optional
        Who did not get it because the mail server did not take it for them. The others have it, and
        another message may be taken. Empty where the server took nothing, or could not be reached.
    """

    code = 42

    def __init__(self, message: str, refused: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.refused = tuple(refused)


class TransferError(TorosError):
    """A file could not be had over HTTP."""

    code = 50


class AddressNotAllowed(TransferError):
    """The address is not among those from which files may be had."""

    code = 51


class NothingThere(TransferError):
    """The server has no file at that address."""

    code = 52


class TransferBroken(TransferError):
    """The server does not answer, or a transfer broke off; it may be tried again."""

    code = 53


class TransferTooLarge(TransferError):
    """The file is larger than is allowed."""

    code = 54


class PeerError(TorosError):
    """Another module did not do what it was asked."""

    code = 30


class PeerUnreachable(PeerError):
    """Another module cannot be reached."""

    code = 31


class PeerTimeout(PeerError):
    """Another module did not answer in time."""

    code = 32


class PeerRefused(PeerError):
    """Another module refused the work order."""

    code = 33


class CalibrationError(TorosError):
    """A calibration step failed."""

    code = 100


class NoFilesFound(CalibrationError):
    """The folder holds no FITS file."""

    code = 101


class UnreadableFile(CalibrationError):
    """A FITS file is truncated or cannot be read."""

    code = 102


class MixedShapes(CalibrationError):
    """Frames that must be combined have different shapes."""

    code = 103


class NoMasterBias(CalibrationError):
    """No master bias matches."""

    code = 104


class NoMasterDark(CalibrationError):
    """No master dark matches."""

    code = 105


class NoMasterFlat(CalibrationError):
    """No master flat matches."""

    code = 106


class UnknownImageType(CalibrationError):
    """The header does not say what kind of frame it is."""

    code = 107


class AlreadyCalibrated(CalibrationError):
    """The frame was already calibrated by the program that took it."""

    code = 108


class SourceNotAllowed(CalibrationError):
    """The source of the file batch is outside the allowed places."""

    code = 109


class UnusableFrame(CalibrationError):
    """The frame cannot be used for what it says it is."""

    code = 110


class DiskFull(CalibrationError):
    """There is no room for a product."""

    code = 111


class SourceGone(CalibrationError):
    """The source of a file batch, or a frame of it, is not there any more."""

    code = 112


class TransferIncomplete(CalibrationError):
    """A frame could not be had whole from its source."""

    code = 113


class WrongChecksum(CalibrationError):
    """A file is not what its checksum says."""

    code = 114


class UnusableArchive(CalibrationError):
    """An archive file is damaged, too large, or would write outside its folder."""

    code = 115


class MasterRefused(CalibrationError):
    """A new master differs too much from the last good one, and is not used."""

    code = 116


class FolderInUse(CalibrationError):
    """Another process is writing products into the folder."""

    code = 117


class TelescopeError(TorosError):
    """The telescope could not do what it was asked."""

    code = 200


class DeviceError(TelescopeError):
    """A device failed."""

    code = 210


class DeviceUnreachable(DeviceError):
    """A device cannot be reached."""

    code = 211


class DeviceTimeout(DeviceError):
    """A device did not answer or arrive in time."""

    code = 212


class DeviceRefused(DeviceError):
    """A device refused a command."""

    code = 213


class ReadBackMismatch(DeviceError):
    """A device says it obeyed, but its reading does not agree."""

    code = 214


class NotObservable(TelescopeError):
    """The target cannot be observed tonight."""

    code = 220


class NotSafe(TelescopeError):
    """It is not safe to do that now."""

    code = 221


class DomeNotReady(TelescopeError):
    """The dome is not open and in place."""

    code = 222


class UnusableTargetTable(TelescopeError):
    """The table of targets cannot be read."""

    code = 223


class DomeError(TorosError):
    """The dome could not do what it was asked."""

    code = 300


class DomeUnsafe(DomeError):
    """The conditions are not known to be safe."""

    code = 301


class ShutterStuck(DomeError):
    """The shutter did not reach the ordered state."""

    code = 302


class NotArrived(DomeError):
    """The dome did not arrive at the ordered position."""

    code = 303


class AlertError(TorosError):
    """An alert could not be processed."""

    code = 400


class UnreadableNotice(AlertError):
    """The notice cannot be read."""

    code = 401


class UnusableSkyMap(AlertError):
    """The sky map is missing or cannot be used."""

    code = 402


class UnknownEvent(AlertError):
    """No event of that name is known."""

    code = 403


class NoHosts(AlertError):
    """No catalogued galaxy can host the event."""

    code = 404


class UnusableCatalogue(AlertError):
    """The galaxy catalogue is missing or cannot be read."""

    code = 405


class IngestError(TorosError):
    """A file could not be ingested."""

    code = 500


def error_classes() -> Iterator[type[TorosError]]:
    """Yield every class of the tree, `TorosError` first."""
    pending: list[type[TorosError]] = [TorosError]
    while pending:
        found = pending.pop(0)
        yield found
        pending.extend(found.__subclasses__())


def status_codes() -> dict[int, str]:
    """Return every status code with its description (the docstring of its class)."""
    codes = {0: "Success."}
    codes.update({error.code: inspect.getdoc(error) or "" for error in error_classes()})
    return dict(sorted(codes.items()))
