"""The recorder's own socket: one JSON line in, one out. Gate, desk and command line ask here."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve(path: Path, handlers: Mapping[str, Handler]) -> asyncio.Server:
    """Listen on `path` (group-writable); `{"ask": NAME, ...}` goes to `handlers[NAME]`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    question = json.loads(line)
                    reply = await handlers[question["ask"]](question)
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    reply = {"error": f"not understood: {error}"}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            return
        finally:
            writer.close()

    path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at start
    server = await asyncio.start_unix_server(answer, path, backlog=1024)
    path.chmod(0o660)  # noqa: ASYNC240  # once, at start
    return server


async def ask(path: Path, question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
    """Ask; raises OSError where nobody listens, TimeoutError after `deadline` seconds."""
    async with asyncio.timeout(deadline):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(json.dumps(dict(question)).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    if not line:
        raise ConnectionResetError("closed without an answer")
    reply: dict[str, Any] = json.loads(line)
    return reply
