"""
Lines echoed by Twisted's ``LineReceiver``, on Twisted's own reactor.

    python line_receiver.py PORT
"""

import sys

from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver


class Echo(LineReceiver):
    delimiter = b"\n"

    def lineReceived(self, line):
        self.sendLine(line)


def make_factory() -> ServerFactory:
    return ServerFactory.forProtocol(Echo)


def main(port: int) -> None:
    from twisted.internet import reactor

    reactor.listenTCP(port, make_factory(), backlog=1024, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
