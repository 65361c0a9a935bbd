"""Words of the acts, blinded: which act may have a word in it, in SQLite (FTS5) and PostgreSQL (GIN) alike.

A gram stands here as 32 bits of a keyed hash: who has the database and not the key learns how often two characters come
together, and not which. What is found may be too much, never too little: the caller opens it and looks.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

NAME: Final = "act_words"
FEW: Final = 5000
"""Acts that are counted to tell which of several words is the rarest."""

# PostgreSQL's; SQLite's is a virtual table of the same name.
act_words = Table(
    NAME, MetaData(), Column("id", Integer, primary_key=True), Column("words", ARRAY(Integer), nullable=False)
)
MAKE: Final = {
    "sqlite": (f"CREATE VIRTUAL TABLE {NAME} USING fts5(words, content='', detail='none', columnsize=0)",),
    "postgresql": (
        f"CREATE TABLE {NAME} (id INTEGER PRIMARY KEY, words INTEGER[] NOT NULL)",
        f"CREATE INDEX act_words_words ON {NAME} USING gin (words)",
    ),
}
"""What makes it, by the kind of database."""


def _terms(words: Iterable[int]) -> list[str]:
    """As FTS5's tokenizer takes them."""
    return [f"w{word & 0xFFFFFFFF:08x}" for word in words]


async def index(connection: AsyncConnection, rows: Sequence[tuple[int, Sequence[int]]]) -> None:
    """The words of acts, by the acts' ids."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        values: list[dict[str, Any]] = [{"id": act, "words": " ".join(_terms(words))} for act, words in rows]
        await connection.execute(text(f"INSERT INTO {NAME}(rowid, words) VALUES (:id, :words)"), values)  # noqa: S608  # nosec  # a constant
    else:
        await connection.execute(insert(act_words), [{"id": act, "words": list(words)} for act, words in rows])


async def matching(
    connection: AsyncConnection, words: Sequence[int], *, before: int | None, limit: int
) -> list[int]:  # fmt: skip
    """Ids of the acts that may have all of `words`, the newest first, of those `before` an id."""
    if connection.dialect.name == "sqlite":
        below = "AND rowid < :before" if before is not None else ""
        query = f"SELECT rowid FROM {NAME} WHERE {NAME} MATCH :wanted {below} ORDER BY rowid DESC LIMIT :limit"  # noqa: S608  # nosec  # constants
        given = {"wanted": " AND ".join(_terms(words)), "limit": limit} | (
            {"before": before} if before is not None else {}
        )
        return list(await connection.scalars(text(query), given))
    wanted = select(act_words.c.id).where(act_words.c.words.contains(list(words)))
    if before is not None:
        wanted = wanted.where(act_words.c.id < before)
    return list(await connection.scalars(wanted.order_by(act_words.c.id.desc()).limit(limit)))


async def rarest_first(connection: AsyncConnection, words: Sequence[Sequence[int]]) -> list[int]:
    """The places of `words`, that of the word first which the fewest acts may have."""
    counts = [len(await matching(connection, one, before=None, limit=FEW)) for one in words] if len(words) > 1 else [0]
    return sorted(range(len(words)), key=lambda place: counts[place])
