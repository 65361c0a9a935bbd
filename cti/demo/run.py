"""`kikitori demo`: real calls, a recorder killed mid-sentence, and every claim proved in front of you."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.cells import set_cell_size
from rich.console import Console
from rich.markup import escape

from cti.app.clock import wall_clock
from cti.cli.common import err, length, say_json
from cti.demo import namespace
from cti.demo.lab import Lab, LabError, remove
from cti.demo.night import CALLER, Night, call_at_night
from cti.demo.pbx import PbxError
from cti.demo.picture import levels
from cti.demo.plaintext import Find, Hunter, needles_for
from cti.demo.proof import Heard, hear
from cti.demo.scenarios import Hold
from cti.demo.sipp import PhoneError
from cti.demo.tones import reference
from cti.errors import UsageError
from cti.explain import word
from cti.i18n import _
from cti.prompts.words import texts
from policies.calendar import JST

FOLDER = "KIKITORI_DEMO_FOLDER"
TALK = 36.0  # seconds: the calls in which the recorder is killed
SHORT = 9.0
COLUMNS = 60

out = Console(highlight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A call of the demonstration. `number` identifies it in the list of recordings, together with `phone`."""

    call: int
    title: str
    seconds: float
    phone: str
    designated: bool = True


@dataclass(slots=True)
class Claims:
    """What was claimed, and whether it held."""

    as_json: bool = False
    held: int = 0
    made: int = 0

    def claim(self, text: str, holds: bool, detail: str = "") -> None:  # a claim and its truth
        """Say it."""
        self.made += 1
        self.held += holds
        if self.as_json:
            say_json({"claim": text, "held": holds, "detail": detail})
            return
        mark = "[green]✔[/]" if holds else "[bold red]✘[/]"
        out.print(f"  {mark} {text}" + (f"  [dim]{escape(detail)}[/]" if detail else ""), soft_wrap=True)


def demonstrate(*, keep: bool, as_json: bool) -> int:
    """Run the demonstration; 0 where every claim held."""
    if inside := os.environ.get(FOLDER):
        return asyncio.run(_demonstrate(Path(inside), keep=keep, as_json=as_json))
    if os.geteuid() != 0:
        raise UsageError(_("the demonstration needs root: for namespaces of its own, and for users of their own"))
    folder = Path(tempfile.mkdtemp(prefix="kikitori-demo-", dir="/var/tmp"))  # nosec  # a disk, not RAM; mkdtemp makes it ours
    os.environ[FOLDER] = str(folder)
    try:
        options = [name for name, given in (("--keep", keep), ("--json", as_json)) if given]
        return namespace.run([sys.executable, "-m", "cti.cli", "demo", *options])
    finally:
        remove(folder)


async def _demonstrate(folder: Path, *, keep: bool, as_json: bool) -> int:
    claims = Claims(as_json=as_json)
    out.quiet = as_json
    lab = Lab(folder, plain=True)
    began = time.monotonic()
    try:
        out.print(_("[bold]Kikitori[/]: a municipal customer centre in a box"))
        await lab.start()
        version = lab.pbx.rx("core show version").split(" built")[0]
        out.print(_("  {pbx}, service and telephones are up after {seconds:.1f} s").format(
            pbx=version, seconds=time.monotonic() - began))  # fmt: skip
        made, kills, during = await _calls(lab)
        night = await _at_night(lab)
        heard = _listen(lab, made, kills)
        _prove(claims, lab, made, heard, kills, during)
        _prove_night(claims, lab, night)
        out.print(_("\n  took {seconds:.0f} s").format(seconds=time.monotonic() - began))
        if keep:
            await _keep(lab)
    except (LabError, PhoneError, PbxError, ExceptionGroup) as error:
        told = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        claims.claim(_("the demonstration could be carried out"), holds=False, detail=str(told))
        log = folder / "service.log"
        err.print(log.read_text()[-4000:] if log.exists() else "", style="dim", markup=False)
    finally:
        await lab.stop()
    if as_json:
        say_json({"held": claims.held, "claims": claims.made})
    colour = "green" if claims.held == claims.made else "red"
    # The same in every language: programs read it.
    out.print(f"demo: {claims.held} of {claims.made} held", style=f"bold {colour}")
    return 0 if claims.held == claims.made else 1


async def _calls(lab: Lab) -> tuple[list[Made], list[datetime], list[Find]]:
    """All calls; the times of the kills, and what a search of the raw disk found while people were talking."""
    made = [
        Made(call=11, title=_("in to 06-6458-1132 (代表)"), seconds=TALK, phone="2001"),
        Made(call=12, title=_("out from the designated phone 2002"), seconds=TALK, phone="2002"),
        Made(call=13, title=_("in to 06-6458-7160 (クレジット), held and resumed"), seconds=SHORT, phone="2101"),
        Made(call=14, title=_("in to a number that is not designated"), seconds=SHORT, phone="3001", designated=False),
        Made(call=15, title=_("in to 06-6458-7211 (口座), while the recorder was down"), seconds=SHORT, phone="2201"),
    ]
    hunter = await asyncio.to_thread(_hunter, made)
    kills: list[datetime] = []
    during: list[Find] = []

    async def disturb() -> None:
        # Twice, while both long calls are in the middle of a sentence.
        for _again in range(2):
            await asyncio.sleep(11)
            old = lab.kill_recorder()
            kills.append(wall_clock())
            out.print(_("  {time}  recorder killed with -9, mid-sentence").format(time=_clock(kills[-1])))
            await lab.back(old)
            out.print(_("  {time}  a new recorder is in step with the PBX").format(time=_clock(wall_clock())))
            during.extend(await asyncio.to_thread(_search, lab, hunter))

    out.print(_("\n[bold]Calls[/]"))
    async with asyncio.TaskGroup() as group:
        group.create_task(_in(lab, made[0]))
        group.create_task(_out(lab, made[1]))
        group.create_task(_in(lab, made[2], to="0664587160", holds=(Hold(at=4.0, seconds=2.0),)))
        group.create_task(_in(lab, made[3], to="0664587000"))
        group.create_task(disturb())
    await lab.idle()
    await lab.stop_service()
    out.print(_("  {time}  service stopped").format(time=_clock(wall_clock())))
    await _in(lab, made[4], to="0664587211")
    await lab.serve()
    out.print(_("  {time}  service started again").format(time=_clock(wall_clock())))
    await lab.idle()
    return made, kills, during


async def _at_night(lab: Lab) -> Night:
    out.print(_("\n[bold]Outside the opening hours[/]: 水道局長 decides to close, and somebody calls"))
    night = await call_at_night(lab, _("demonstration"))
    await lab.idle()
    # What the caller heard is Japanese in every language.
    out.print(_("  the caller heard: {text}").format(text=" ".join(texts()[name].ja or "" for name in night.heard)))
    for line in lab.kikitori("calls", "why", night.intake["conversation"]).splitlines():
        out.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)
    return night


async def _in(lab: Lab, call: Made, *, to: str = "0664581132", holds: tuple[Hold, ...] = ()) -> None:
    async with lab.call_in(call.call, call.seconds, to=to, phone=call.phone, holds=holds):
        out.print(
            _("  {time}  call {call}: {title}").format(time=_clock(wall_clock()), call=call.call, title=call.title)
        )
    out.print(_("  {time}  call {call} ended").format(time=_clock(wall_clock()), call=call.call))


async def _out(lab: Lab, call: Made) -> None:
    async with lab.call_out(call.call, call.seconds, phone=call.phone):
        out.print(
            _("  {time}  call {call}: {title}").format(time=_clock(wall_clock()), call=call.call, title=call.title)
        )
    out.print(_("  {time}  call {call} ended").format(time=_clock(wall_clock()), call=call.call))


def _listen(lab: Lab, made: list[Made], kills: list[datetime]) -> dict[int, Heard]:
    """Export every recording, open it as an outsider, and show how it went."""
    recordings = {record["agent"]: record for record in lab.rows("recordings", "list")}
    heard: dict[int, Heard] = {}
    out.print(_("\n[bold]Recordings[/], exported to an outsider, opened with age and flac"))
    out.print(
        _("  left channel: the party outside; right: the phone.  ├ segment  ✝ recorder killed  ⏸ hold  ▶ resume"),
        soft_wrap=True,
    )
    for call in made:
        record = recordings.get(call.phone)
        if record is None:
            continue
        heard[call.call] = hear(lab, record, call.call, call.seconds)
        _show(lab, call, heard[call.call], kills)
    return heard


def _show(lab: Lab, call: Made, heard: Heard, kills: list[datetime]) -> None:
    shown = lab.rows("recordings", "show", heard.recording["recording"])[0]
    start, end = (datetime.fromisoformat(shown[name]) for name in ("start", "end"))
    span = (end - start).total_seconds()

    def column(at: datetime) -> int:
        return min(COLUMNS - 1, max(0, int((at - start).total_seconds() / span * COLUMNS)))

    out.print(f"\n  [bold]{call.call}[/]  {call.title}  [dim]{heard.recording['recording'][:8]}[/]")
    out.print(
        f"      {_clock(start)} → {_clock(end)}  {length(span)}  {shown['caller'] or ''} → {shown['callee'] or ''}"
    )
    _row(_("outside"), f"[cyan]{levels(heard.left, COLUMNS)}[/]")
    _row(_("phone"), f"[magenta]{levels(heard.right, COLUMNS)}[/]")
    line = ["─"] * COLUMNS
    for part in shown["parts"]:
        line[column(datetime.fromisoformat(part["start"]))] = "├"
        for mark in part["marks"]:
            if mark["what"] in ("hold", "resume"):
                line[column(datetime.fromisoformat(mark["at"]))] = "⏸" if mark["what"] == "hold" else "▶"
    for kill in kills:
        if start < kill < end:
            line[column(kill)] = "✝"
    _row(_("segments"), "".join(line))
    parts = (
        f"{part['segment']}: {length(part['frames'] / part['rate'])} {word(part['state'])}" for part in shown["parts"]
    )
    _row("", ", ".join(parts))


def _row(label: str, content: str) -> None:
    out.print(f"      {set_cell_size(label, 12)}{content}", soft_wrap=True)


def _prove(
    claims: Claims, lab: Lab, made: list[Made], heard: dict[int, Heard], kills: list[datetime], during: list[Find]
) -> None:
    out.print(_("\n[bold]Claims[/]"))
    for call in made:
        found = heard.get(call.call)
        if not call.designated:
            continue
        if found is None:
            claims.claim(_("call {call} was recorded").format(call=call.call), holds=False)
            continue
        text = _("call {call}: both sides whole, in the right channels, from the first sample to the last")
        if call.call == 13:
            # While on hold the caller hears music: what was said must be there, with a pause in it.
            whole = found.caller.lost == 0 and found.callee.lost == 0 and not found.tools
            claims.claim(
                _("call {call}: nothing said is missing; the hold is in it").format(call=call.call), holds=whole
            )
        else:
            claims.claim(text.format(call=call.call), found.whole, _complaints(found))
    segments = {call: found.recording["segments"] for call, found in heard.items()}
    claims.claim(
        _("the kills cut calls 11 and 12 into three segments that join without a gap"),
        all(segments.get(call) == 3 for call in (11, 12)) and len(kills) == 2,
        str(segments),
    )
    listed = lab.rows("recordings", "list")
    calls = lab.rows("calls", "list")
    plain = [call for call in calls if call["number"] == "0664587000"]
    claims.claim(
        _("the call on a number that is not designated left a call record and no sound"),
        len(plain) == 1 and plain[0]["recording"] is None and all(r["number"] != "0664587000" for r in listed),
    )
    claims.claim(
        _("{count} recordings for {count} designated calls, none twice").format(count=4),
        len(listed) == 4 and len({record["recording"] for record in listed}) == 4,
        str(len(listed)),
    )
    claims.claim(_("nothing is left in RAM"), not any((lab.home / "spool/audio").iterdir()))
    _prove_play(claims, lab, listed[0]["recording"])
    _prove_log(claims, lab)
    _prove_completeness(claims, lab)
    _prove_vault(claims, lab)
    _prove_secrecy(claims, lab, made, during)


def _prove_night(claims: Claims, lab: Lab, night: Night) -> None:
    said = [(step["what"], step.get("route") or step.get("key") or step.get("status")) for step in night.steps]
    wanted = [("route", "closed"), ("key", "1"), ("route", "emergency"), ("line", "ANSWER")]
    claims.claim(
        _("outside the hours the caller heard the announcement, pressed 1 and spoke with the emergency line"),
        night.heard == ["closed", "connecting"] and [step for step in said if step[0] != "intake"] == wanted,
        ", ".join(night.heard),
    )
    (call,) = [call for call in lab.rows("calls", "list") if call["caller"] == CALLER]
    intake = night.intake
    claims.claim(
        _("nothing of that call is recorded; it waits to be handed over, with the day on which it is due"),
        call["recording"] is None
        and (intake["kind"], intake["number"]) == ("emergency", CALLER)
        and bool(intake["due"]),
        str(intake["due"]),
    )


def _complaints(found: Heard) -> str:
    sides = [str(side) for side in (found.caller, found.callee) if not side.exact]
    return "; ".join((*found.tools, *sides))


def _prove_play(claims: Claims, lab: Lab, recording: str) -> None:
    before = len(lab.rows("audit", "list"))
    target = lab.folder / "unheard.wav"
    lab.kikitori("play", recording, "--purpose", "curiosity", "-o", str(target), check=False)
    refused = not target.exists() and len(lab.rows("audit", "list")) == before
    claims.claim(_("without a purpose that the rules know, nothing is played"), refused)
    lab.kikitori("play", recording, "--purpose", "quality", "--from", "2", "--to", "5", "-o", str(target))
    lines = [entry for entry in lab.rows("audit", "list")[before:] if entry["object"] == recording]
    claims.claim(
        _("a play with one leaves an intent before the first byte and the seconds sent after the last"),
        [line["action"] for line in lines] == ["play.intent", "play.result"] and lines[1]["detail"]["seconds"] == 3.0,
        ", ".join(f"{line['action']} {line['detail'].get('seconds', line['detail'].get('purpose'))}" for line in lines),
    )


def _prove_log(claims: Claims, lab: Lab) -> None:
    entries = lab.rows("audit", "list")
    intents = {entry["detail"]["act"]: entry for entry in entries if entry["action"] == "export.intent"}
    results = {entry["detail"]["act"]: entry for entry in entries if entry["action"] == "export.result"}
    claims.claim(
        _("every export has its line before the first byte and its result after the last"),
        len(intents) == 4 and intents.keys() == results.keys(),
        _("{count} exports").format(count=len(intents)),
    )
    for entry in [*intents.values()][:2]:
        said = f"{entry['seq']}  {entry['ts'][:19]}  {entry['actor']}  {entry['action']}  {entry['object'][:8]}"
        out.print(f"      [dim]{said}[/]")
    verified = lab.rows("audit", "verify")[0]
    claims.claim(
        _("the log's chain, tree and signed checkpoints agree"), not verified["problems"],
        _("{size} entries").format(size=verified["size"]),
    )  # fmt: skip


def _prove_vault(claims: Claims, lab: Lab) -> None:
    verified = lab.rows("verify", "--all", "--open")
    claims.claim(
        _("kikitori verify --all --open finds nothing wrong"), verified[-1]["problems"] == 0, str(verified[:-1] or "")
    )
    body = max((lab.home / "vault/segments").rglob("*.agebody"), key=lambda path: path.stat().st_size)
    _flip(body, 40000)
    named = lab.kikitori("verify", "--all", check=False)
    _flip(body, 40000)
    claims.claim(_("one flipped bit in a body is found, and the file named"), str(body) in named.replace("\n", ""))


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def _prove_completeness(claims: Claims, lab: Lab) -> None:
    today = wall_clock().astimezone(JST).date()
    (found,) = lab.rows("completeness", "check", "--day", today.isoformat())
    claims.claim(
        _("by Asterisk's own records every conversation is recorded, and every recording is of a conversation"),
        found["complete"] and found["conversations"] == found["recorded"] == 4,
        _("{count} conversations").format(count=found["conversations"]),
    )


def _prove_secrecy(claims: Claims, lab: Lab, made: list[Made], during: list[Find]) -> None:
    hunter = _hunter(made)
    claims.claim(
        _("the raw disk held no sound in the clear while people talked"), not during, "; ".join(map(str, during[:3]))
    )
    after = _search(lab, hunter)
    claims.claim(_("nor does it now"), not after, "; ".join(map(str, after[:3])))
    planted = lab.disk / "planted"
    planted.write_bytes(_second(made[0]))
    seen = _search(lab, hunter)
    planted.unlink()
    claims.claim(_("the same search finds one second that is planted there"), bool(seen), str(seen[0]) if seen else "")


def _second(call: Made) -> bytes:
    return reference(call.call, "caller", call.seconds)[80000:88000].astype("<i2").tobytes()


def _hunter(made: list[Made]) -> Hunter:
    return Hunter(needles_for((call.call, side, call.seconds) for call in made for side in ("caller", "callee")))


def _search(lab: Lab, hunter: Hunter) -> list[Find]:
    """The disk image, byte by byte, and every swap device."""
    os.sync()
    finds = hunter.scan(lab.image)
    for line in Path("/proc/swaps").read_text().splitlines()[1:]:
        finds += hunter.scan(Path(line.split()[0]))
    return finds


async def _keep(lab: Lab) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    pid = namespace.outer_pid()
    out.print(_("\n[bold]It goes on running.[/] In another terminal:"))
    base = f"nsenter -t {pid} -n -m {sys.executable} -m cti.cli --config {lab.config}"
    for command in (
        "status",
        "recordings list",
        "audit list",
        f"play ID --purpose quality -o /tmp/call.wav --passphrase-file {lab.passphrase_file}",
    ):
        out.print(f"    {base} {command}", soft_wrap=True)
    out.print(_("Ctrl-C ends it."))
    await ended.wait()


def _clock(at: datetime) -> str:
    return at.astimezone(JST).strftime("%H:%M:%S.%f")[:-5]
