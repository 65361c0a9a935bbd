"""Somebody else's system on loopback: real HTTP, and what it took."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """One that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` says status and body of each request; None: the connection is broken off."""

    url: str = ""
    took: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[int, bytes] | None] = lambda _request: (204, b"")

    def events(self) -> list[dict[str, Any]]:
        """What it took, as CloudEvents."""
        return [one.json for one in self.took]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listens as long as the block lasts."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def handle_one_way(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:  # whoever sent it was killed: no server takes half a request
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            answer = receiver.answer(request)
            if answer is None:
                self.close_connection = True
                return
            status, said = answer
            if 200 <= status < 300:
                receiver.took.append(request)
            self.send_response(status)
            if status in (301, 302, 307, 308):
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_PUT = do_GET = handle_one_way  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silently."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
