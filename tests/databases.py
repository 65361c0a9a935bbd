"""Where a test keeps its database: SQLite or, with KIKITORI_TEST_DATABASE=postgresql, a server of its own."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

from sqlalchemy import make_url

POSTGRESQL = os.environ.get("KIKITORI_TEST_DATABASE", "sqlite") == "postgresql"
_NUMBERS = count(1)
_URLS: dict[tuple[Path, str], str] = {}


class Postgres:
    """A PostgreSQL server in a folder, reached by a Unix socket in it. Nothing of it is synced: it does not last."""

    def __init__(self, folder: Path) -> None:
        """`start` it."""
        self.folder = folder
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        as_user = ("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups")
        self._as = as_user if os.geteuid() == 0 else ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def start(self) -> "Postgres":
        """Until it answers. Again after `stop` or `kill`, with what it held."""
        data = self.folder / "data"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o755)
            shutil.chown(self.folder, self.user)
            self._run("initdb", "-D", str(data), "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        (data / "postmaster.pid").unlink(missing_ok=True)
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "max_connections=50")
        options = [option for setting in settings for option in ("-c", setting)]
        self._process = subprocess.Popen(
            [*self._as, _binary("postgres"), "-D", str(data), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        self._run("pg_isready", "-h", str(self.folder), "-t", "20", "-q", again=True)
        return self

    def stop(self) -> None:
        """In order, at once: whoever is connected is cut off."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)

    def url(self, name: str = "", like: str = "template0") -> str:
        """Of a new database, that holds what `like` does, to which nobody is connected."""
        name = name or f"test{next(_NUMBERS)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {like}", "postgres")
        return f"postgresql://{self.user}@/{name}?host={self.folder}"

    def ask(self, statement: str, database: str) -> str:
        """What psql prints, without decoration."""
        return self._run("psql", "-h", str(self.folder), "-d", database, "-qtAc", statement)

    def _run(self, program: str, *arguments: str, again: bool = False) -> str:
        for _ in range(200):
            done = subprocess.run(
                [*self._as, _binary(program), *arguments], check=False, capture_output=True, text=True, cwd="/"
            )
            if done.returncode == 0:
                return done.stdout.strip()
            if not again:
                break
        raise RuntimeError(f"{program}: {done.stderr}")


def _binary(program: str) -> str:
    """Debian keeps the server's programs out of the PATH, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else program


@cache
def server() -> Postgres:
    """One for this process, gone with it."""
    shm = Path("/dev/shm")  # RAM
    folder = Path(tempfile.mkdtemp(prefix="kikitori-pg-", dir=shm if shm.is_dir() else None))
    made = Postgres(folder).start()

    def end() -> None:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return made


def url(folder: Path, name: str = "catalogue.db") -> str:
    """The database that a test keeps in `folder` under `name`: the same each time."""
    if not POSTGRESQL:
        return f"sqlite+aiosqlite:///{folder}/{name}"
    if (folder, name) not in _URLS:
        _URLS[folder, name] = server().url()
    return _URLS[folder, name]


def copied(old: Path, new: Path, name: str = "catalogue.db") -> None:
    """Whoever has copied the folder has the database with it, too."""
    if POSTGRESQL:
        _URLS[new, name] = server().url(like=make_url(url(old, name)).database or "")
