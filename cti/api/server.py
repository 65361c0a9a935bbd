"""The API over TLS, in the desk's own loop. A client that dawdles holds nobody up."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from typing import ClassVar, Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from cti.deploy.peers import LOOPBACK, Network
from cti.settings import Api
from policies.terminals import plain_address

log = structlog.get_logger()

PATIENCE: Final = 10.0
"""Seconds for the head of a request, from the connection or the answer before it on."""
OF_ONE: Final = 24
"""Connections of one address; a browser makes six."""
OF_ALL: Final = 512
AGAIN: Final = 10.0
"""Seconds until an address that was taken, or a certificate that was not there, is tried again."""


class _Patient(H11Protocol):
    """uvicorn's, which waits for ever for a request that does not come."""

    connected: ClassVar[Counter[str]] = Counter()
    clients: ClassVar[tuple[Network, ...]] = LOOPBACK

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._invited(self._address):
            transport.abort()
        self.connected[self._address] += 1
        self._look = self.loop.call_later(PATIENCE, self._dawdles)
        if self.connected[self._address] > OF_ONE or self.connected.total() > OF_ALL:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._look.cancel()
        self.connected[self._address] -= 1
        if not self.connected[self._address]:
            del self.connected[self._address]

    def _invited(self, address: str) -> bool:
        """B-04: nobody talks to us but whom the settings name."""
        found = plain_address(address)
        return found is not None and any(found in network for network in self.clients)

    def _dawdles(self) -> None:
        # Within a request it is `edge` that waits for the body, and who listens may take its time.
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self._look = self.loop.call_later(PATIENCE, self._dawdles)


class _Server(uvicorn.Server):
    """It does not take the process's signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with patience for the handshake too: asyncio's own is a minute."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()

        def protocol() -> _Patient:
            return _Patient(self.config, self.server_state, self.lifespan.state)

        self.servers = [
            await loop.create_server(protocol, sock=one, ssl=self.config.ssl, ssl_handshake_timeout=PATIENCE)
            for one in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def serve(app: ASGIApp, api: Api) -> None:
    """Until it is cancelled. While there is no certificate, or the address is taken, it says so and tries again."""
    while True:
        try:
            await _serve(app, api)
        except OSError as error:  # ssl.SSLError among them
            log.error("no API", error=str(error), host=api.host, port=api.port, certificate=str(api.certificate))
        await asyncio.sleep(AGAIN)


async def _serve(app: ASGIApp, api: Api) -> None:
    config = uvicorn.Config(
        app, ssl_certfile=api.certificate, ssl_keyfile=api.key, http=_Patient, ws="none", lifespan="off",
        access_log=False, log_config=None, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    _Patient.clients = (*LOOPBACK, *map(ip_network, api.networks))
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    with socket.create_server((api.host, api.port), family=family, backlog=128) as listening:
        # asyncio sets it for sockets of its own making; without it the first sound waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config.load()
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        log.info("API", host=api.host, port=listening.getsockname()[1])
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await asyncio.wait([serving], timeout=5)
            serving.cancel()
