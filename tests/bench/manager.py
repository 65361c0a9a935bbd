"""A manager interface for one client, in a process of its own so that its cost is not the client's.

`python -m tests.bench.manager FILE` prints its port, lets in whoever comes, sends what FILE holds as fast as it is
read, then `Event: End`. With `--rate` N it sends N events a second, each stamped on the monotonic clock when it goes.
"""

import argparse
import re
import socket
import time
from pathlib import Path

END = b"Event: End\r\n\r\n"
_STAMP = re.compile(rb"\r\nTimestamp: [^\r]*")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    data = given.file.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b"Asterisk Call Manager/11.0.0\r\n")
        login = b""
        while b"\r\n\r\n" not in login:
            login += peer.recv(65536)
        action_id = re.search(rb"\r\nActionID: ([^\r]*)", login)
        peer.sendall(b"Response: Success\r\nActionID: %s\r\n\r\n" % (action_id[1] if action_id else b""))
        if given.rate:
            _paced(peer, data, given.rate)
        else:
            peer.sendall(data)
        peer.sendall(END)
        while peer.recv(65536):
            pass


def _paced(peer: socket.socket, data: bytes, rate: float) -> None:
    began = time.monotonic()
    for number, event in enumerate(data.split(b"\r\n\r\n")[:-1]):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        stamp = b"\r\nTimestamp: %.6f" % time.monotonic()
        peer.sendall(_STAMP.sub(stamp, event, count=1) + b"\r\n\r\n")


if __name__ == "__main__":
    main()
