"""A TCP proxy to a server that can be disconnected and reconnected, and that notes which requests went through."""

from __future__ import annotations

import contextlib
import re
import socket
import threading

_REQUEST = re.compile(rb"(GET|POST) (/\S*) HTTP/1\.1\r\n")


class TcpProxy:
    """Forwards TCP from ``url`` to a port of this machine. Use as a context manager.

    Attributes:
        url: of the proxy.
        requests: "METHOD /path" of everything asked so far, also of what was never answered.
    """

    def __init__(self, port: int):
        self._port = port
        self.requests: list[str] = []
        self._connected = True
        self._sockets: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> TcpProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._listener.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Ends all connections and drops new ones."""
        with self._mutex:
            self._connected = False
            ends, self._sockets = self._sockets, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def reconnect(self) -> None:
        self._connected = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self._connected:
                    raise OSError("disconnected")
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                near.close()
                continue
            with self._mutex:
                self._sockets |= {near, far}
            for source, target, noted in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._forward, args=(source, target, noted), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, noted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if noted:
                    self.requests += [b" ".join(found).decode() for found in _REQUEST.findall(data)]
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._mutex:
            self._sockets -= {source, target}
        source.close()
