"""Where a device's web server takes connections, and how many.

A room must not run out of files because of somebody on its network. So a connection counts from
the moment it is accepted, before any handshake, until it is closed, whoever closes it and why.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
import weakref
from collections import Counter
from typing import Any, Final

from appliance.web.seldom import Seldom

__all__ = ["Listener"]

log = logging.getLogger(__name__)

_IP_FREEBIND: Final = 15
"""Of Linux, for IPv6 as well: listen at an address that may come later. Python 3.11 has no name
for it."""


class Listener(socket.socket):
    """A socket bound to `host` and `port` that has `most` connections open at once, of them
    `most_each` from one address, and closes what comes beyond.

    An address counts as it is, also of IPv6: all of a LAN may be in one network. `name` says in the
    log whose it is. An address that this machine has yet to get is listened at from then on. Raises
    OSError for a port that is taken and an address that is none.
    """

    def __init__(self, host: str, port: int, *, name: str, most: int, most_each: int) -> None:
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._name = name
        self._most = most
        self._most_each = most_each
        # The sockets themselves are asked whether they are open: nobody can forget to tell.
        self._accepted: weakref.WeakKeyDictionary[socket.socket, str] = weakref.WeakKeyDictionary()
        self._line = Seldom()
        self._turned_away = 0
        try:
            # A port that was in use a moment ago may be taken again.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind_soon(host, port)
            self.setblocking(False)
        except OSError:
            self.close()
            raise

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection and its address. Raises ConnectionAbortedError where that is one too
        many, and BlockingIOError where there is none."""
        connection, address = super().accept()
        host = str(address[0])
        for closed in [one for one in self._accepted if one.fileno() < 0]:
            del self._accepted[closed]
        places = Counter(self._accepted.values())
        if places.total() < self._most and places[host] < self._most_each:
            self._accepted[connection] = host
            return connection, address
        connection.close()
        self._turned_away += 1
        if self._line.due():
            log.warning(
                "%s: too many connections, turned away %d, the last from %s"
                " (at most %d at once, %d from one address)",
                *(self._name, self._turned_away, host, self._most, self._most_each),
            )
            self._turned_away = 0
        # For an event loop that is one who went away before he was let in.
        raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")

    def _bind_soon(self, host: str, port: int) -> None:
        try:
            self.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or sys.platform != "linux":
                raise
            # The cable is out, or DHCP late: a room does not wait for its servers.
            self.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
            self.bind((host, port))
            log.warning(
                "%s waits for its address: this machine has no %s now; connect its network,"
                " or choose an address of this machine",
                *(self._name, host),
            )
