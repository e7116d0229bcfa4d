"""Comet, a real VOEvent broker, run from its Twisted parts so that it binds to loopback only.

    python comet_broker.py FOLDER [RECEIVE_PORT BROADCAST_PORT]

Prints the two ports, and runs until it is killed. Sends `iamalive` every second, not every minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import comet
from comet.handler import EventRelay
from comet.protocol import VOEventBroadcasterFactory, VOEventReceiverFactory
from comet.utility import Event_DB
from comet.validator import CheckIVOID, CheckPreviouslySeen, CheckSchema
from twisted.internet import reactor

IVO = "ivo://org.example/broker"


def main(folder: str, receive_port: int = 0, broadcast_port: int = 0) -> None:
    database = Event_DB(folder)
    VOEventBroadcasterFactory.IAMALIVE_INTERVAL = 1
    broadcaster = VOEventBroadcasterFactory(IVO, 0)
    schema = Path(comet.__path__[0]) / "schema" / "VOEvent-v2.0.xsd"
    receiver = VOEventReceiverFactory(
        local_ivo=IVO,
        validators=[CheckPreviouslySeen(database), CheckSchema(str(schema)), CheckIVOID()],
        handlers=[EventRelay(broadcaster)],
    )
    submit = reactor.listenTCP(receive_port, receiver, interface="127.0.0.1")
    listen = reactor.listenTCP(broadcast_port, broadcaster, interface="127.0.0.1")
    sys.stdout.write(f"{submit.getHost().port} {listen.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], *(int(port) for port in sys.argv[2:]))
