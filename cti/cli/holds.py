"""`kikitori retention hold` and its kin: recordings that are not to be erased. By a session alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from cti.cli.case import given, naming_options
from cti.cli.common import Json, Recording, agree, err, out, say_json, table, when
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.explain import word
from cti.i18n import _
from recorder.medium import Medium
from retention.holds import Ground

if TYPE_CHECKING:
    from cti.api.shapes import Hold

Which = Annotated[str, typer.Argument(help=_("Id of the hold, or its beginning."), metavar="HOLD")]
Yes = Annotated[bool, typer.Option("--yes", help=_("Do not ask."))]


def register(group: typer.Typer) -> None:
    """Add the commands to `kikitori retention`."""
    group.command(
        "hold",
        help=_(
            "Hold every recording of a conversation: what may have to be looked at later is not erased (6条1ただし書). "
            "It is held until two persons release it."
        ),
        epilog=_("Example: kikitori retention hold 3f2a --ground other --reason 訴訟の見込み"),
    )(hold)
    group.command(
        "holds",
        help=_("What is held, since when, and why; and of which holds the release is asked for."),
        epilog=_("Examples: kikitori retention holds · kikitori retention holds --all --json"),
    )(holds)
    group.command(
        "ask",
        help=_("Ask that a hold be released. Another person agrees, and then it holds no more."),
        epilog=_("Example: kikitori retention ask 8c1d --reason 和解が成立"),
    )(ask)
    group.command(
        "release",
        help=_("The second person: agree that a hold ends. What is released stays so."),
        epilog=_("Examples: kikitori retention release 8c1d · kikitori retention release 8c1d --yes"),
    )(release)
    group.command(
        "keep",
        help=_("A hold goes on: refuse its release, or take back that you asked for it."),
        epilog=_("Example: kikitori retention keep 8c1d"),
    )(keep)
    group.command(
        "show",
        help=_("Until when a recording is kept, what stops its end, and its holds. Nothing is erased by this version."),
        epilog=_("Example: kikitori retention show 3f2a"),
    )(show)


def hold(
    recording: Recording,
    ground: Annotated[
        Ground,
        typer.Option(
            "--ground", help=_("unjust-demand: 不当要求行為; unresolved: 解決しない対応事案; other: with --reason.")
        ),
    ],
    reason: Annotated[str | None, typer.Option("--reason", help=_("Why, in one line."), metavar="TEXT")] = None,
    as_json: Json = False,
) -> None:
    """Hold."""
    from cti.api.shapes import SetHold
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        found = client.hold(recording, shaped(SetHold, ground=ground, **given(reason=reason)))
    _say(found, _("Held: {hold}. Recordings: {count}."), as_json=as_json)


def holds(
    everything: Annotated[bool, typer.Option("--all", help=_("Those that were released, too."))] = False,
    as_json: Json = False,
) -> None:
    """List holds."""
    with at_api() as client:
        found = client.holds(everything=everything)
    if as_json:
        for one in found.items:
            say_json(one.model_dump(mode="json"))
    elif not found.items:
        out.print(_("No holds."))
    else:
        table(
            (_("Id"), _("Held since"), _("Ground"), _("Reason"), _("Held by"), _("State"), _("Recordings")),
            (
                (one.id[:8], when(one.at), word(one.ground), one.reason, one.by, _state(one),
                 " ".join(recording[:8] for recording in one.recordings))
                for one in found.items
            ),
        )  # fmt: skip
    for where in found.unread:
        err.print(_("{where}: cannot be read, and may be a hold").format(where=where), style="yellow", highlight=False)


def ask(
    which: Which,
    reason: Annotated[str, typer.Option("--reason", help=_("Why, in one line."), metavar="TEXT")],
    as_json: Json = False,
) -> None:
    """Ask for a release."""
    from cti.api.shapes import AskRelease
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        found = client.ask_release(which, shaped(AskRelease, reason=reason))
    said = _("Asked for. It holds until another person agrees: kikitori retention release {hold}")
    _say(found, said, as_json=as_json)


def release(which: Which, yes: Yes = False, as_json: Json = False) -> None:
    """Agree."""
    if not yes:
        agree(_("Release hold {hold}? What is released stays so.").format(hold=which))
    with at_api() as client:
        found = client.release(which)
    _say(found, _("Released: {hold}. Recordings: {count}."), as_json=as_json)


def keep(which: Which, as_json: Json = False) -> None:
    """Let it go on."""
    with at_api() as client:
        found = client.keep(which)
    _say(found, _("It goes on: {hold}."), as_json=as_json)


def show(recording: Recording, as_json: Json = False) -> None:
    """Show until when it is kept."""
    with at_api() as client:
        found = client.retention(recording)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    out.print(found.recording, style="bold", highlight=False)
    ended, held, lies = _("Ended"), _("Hold"), _("Lies on")
    media = {Medium.FIRST: _("the first medium"), Medium.SECOND: _("the second medium")}
    out.print(f"  {ended}: {when(found.ended)}", highlight=False)
    out.print(f"  {lies}: {media[found.medium]}", highlight=False)
    for sentence in found.why:
        out.print(f"  {one_line(sentence)}", highlight=False)
    for one in found.holds:
        told = " ".join(filter(None, (one.id[:8], when(one.at), word(one.ground), one.reason, one.by, _state(one))))
        out.print(one_line(f"  {held}: {told}"), highlight=False)
    out.print(_("So the rules say. Nothing is erased by this version."), style="dim", highlight=False)


def _state(one: "Hold") -> str:
    if one.state == "held":
        return _("held")
    if one.state == "asked":
        last = next(each for each in one.questions if each.answer is None)
        return one_line(_("{by} asks for its release: {reason}").format(by=last.by, reason=last.reason))
    over = next(each for each in one.questions if each.answer == "released")
    return _("released {at} by {by} and {other}").format(
        at=when(over.answered_at), by=over.by, other=over.answered_by
    )  # fmt: skip


def _say(found: "Hold", said: str, *, as_json: bool) -> None:
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    out.print(said.format(hold=found.id[:8], count=len(found.recordings)), style="green", highlight=False)
