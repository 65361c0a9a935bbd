"""What a telephone does in a call, as a SIPp 3.6 scenario.

A stream is started after the ACK on both ends and never ended by a scenario: it runs on (the file ends with silence)
until the call is gone: where one side has stopped sending, Asterisk's hook loses the other's last half second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

Mark = Literal["ringing", "talking", "held", "resumed", "transferred", "hanging up", "over"]
Key = Literal["hold", "resume", "transfer", "hang up"]
# A key is pressed with a request that no PBX sends within a call: SIPp can wait for several methods at once.
KEYS: Final[dict[Key, str]] = {"hold": "MESSAGE", "resume": "SUBSCRIBE", "transfer": "INFO", "hang up": "OPTIONS"}


class ScenarioError(ValueError):
    """A telephone was told something that SIP or SIPp cannot carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold by this telephone: seconds after its stream began, and how long. The stream pauses and loses nothing."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is said once the call stands: a raw u-law file (see `write_speech`), holds, and who ends it.

    `hang_up_after`: seconds after the stream began, holds included; None waits for the other side's BYE. `keys`: the
    person at it presses hold, resume, transfer and hang-up when told (`Phone.press`), and nothing else ends it but BYE.
    `media_port`: somebody else speaks and hears there, and presses digits.
    """

    audio: Path | None
    hang_up_after: float | None = None
    holds: tuple[Hold, ...] = ()
    keys: bool = False
    media_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Be called: ring, then talk; `talk=None` rings until the caller gives up; `refuse`: a final status (486 busy).

    `moved_to`: the number that a 302 names instead.
    """

    talk: Talk | None
    ring: float = 0.2
    refuse: int | None = None
    moved_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Call `to`. `cancel_after`: give up so many seconds after the ringing began; `refused`: the status to be expected.

    `number` and `name` are what From shows; `user` and `password` answer a digest challenge. `headers`: whole lines.
    """

    to: str
    number: str
    talk: Talk | None
    name: str | None = None
    user: str | None = None
    password: str | None = None
    cancel_after: float | None = None
    refused: int | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Tell the registrar that `user` is to be reached at `contact` (host:port)."""

    user: str
    password: str
    contact: str
    expires: int = 3600


Role = Answer | Dial | Register

_SDP = """Content-Type: application/sdp
Content-Length: [len]

v=0
o=phone 1 {version} IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=ptime:20
a={direction}"""
_OWN_MEDIA = "m=audio [rtpstream_audio_port] RTP/AVP 0"
_BEFORE_HOLD = 0.06  # s: three packets
_NO_BODY = "Content-Length: 0"
_CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>"


def scenario(role: Role) -> str:
    """The XML that SIPp runs with -sf. Raises ScenarioError for what cannot stand in one."""
    match role:
        case Answer():
            steps = _answer(role)
        case Dial():
            _check(role.to, role.number, role.name or "", role.user or "", role.password or "")
            steps = _dial(role)
        case Register():
            _check(role.user, role.password, role.contact)
            steps = _register(role)
    text = "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', '<scenario name="phone">', *steps, "</scenario>", ""])
    talk = None if isinstance(role, Register) else role.talk
    if talk is None or talk.media_port is None:
        return text
    return text.replace(_OWN_MEDIA, f"m=audio {talk.media_port} RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000")


def _check(*texts: str) -> None:
    for text in texts:
        if any(sign in text for sign in '[]<>"\r\n'):
            raise ScenarioError(f'{text!r} cannot stand in a SIPp scenario: it has one of []<>" or a line break')


def _send(*lines: str, again: bool = False, then: str = "") -> str:
    """`again`: repeat until the answer comes, as UDP asks for (RFC 3261, timer A, E or G: 500 ms). `then`: a label."""
    attributes = (' retrans="500"' if again else "") + (f' next="{then}"' if then else "")
    return f"<send{attributes}><![CDATA[\n\n" + "\n".join(lines) + "\n\n]]></send>"


def _log(mark: Mark) -> str:
    return f'<log message="{mark}"/>'


def _mark(mark: Mark, *actions: str) -> str:
    return f"<nop><action>{''.join(actions)}{_log(mark)}</action></nop>"


def _stream(what: str) -> str:
    return f'<exec rtp_stream="{what}"/>'


def _pause(seconds: float) -> str:
    return f'<pause milliseconds="{round(seconds * 1000)}"/>'


def _sdp(version: int, direction: str) -> str:
    return _SDP.format(version=version, direction=direction)


def _reply(status: str, tag: str = "", cseq: str = "[last_CSeq:]") -> tuple[str, ...]:
    return (f"SIP/2.0 {status}", "[last_Via:]", "[last_From:]", f"[last_To:]{tag}", "[last_Call-ID:]", cseq)


@dataclass(slots=True)
class _Dialogue:
    """Requests of one side: the lines that stay, and CSeq as it grows."""

    uri: str
    sender: str
    recipient: str
    cseq: int = 0
    version: int = 1

    def request(self, method: str, *rest: str, branch: str = "[branch]") -> tuple[str, ...]:
        """CANCEL and ACK carry the number of the INVITE that they are about; every other method the next one."""
        self.cseq += method not in {"ACK", "CANCEL"}
        return (
            f"{method} {self.uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
            self.sender,
            self.recipient,
            "Call-ID: [call_id]",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            _CONTACT,
            *rest,
        )

    def known(self, mark: str = "") -> str:
        """An action that tells by which names the other side knows this call."""
        names = quoteattr(f"dialog [call_id] {self.sender} {self.recipient}")
        return f"<action><log message={names}/>{mark}</action>"

    def keys(self, *, speaks: bool = False) -> Iterator[str]:
        """Do what the keys say until the call is over; a key works once. NOTIFY and UPDATE are answered by SIPp itself.

        No step stands between two messages: SIPp gives a call up for one that arrives while it is at a step of its own.
        """
        wait, reinvite, over = "1", "2", "9"
        pressed = dict(zip(KEYS, "5678", strict=True))
        yield f'<label id="{wait}"/>'
        for key, method in KEYS.items():
            find = '<ereg regexp="sip:.*" search_in="hdr" header="X-Target:" check_it="true" assign_to="target"/>'
            action = f"<action>{find}</action>" if key == "transfer" else ""
            yield f'<recv request="{method}" optional="true" next="{pressed[key]}">{action}</recv>'
        yield f'<recv request="INVITE" optional="true" next="{reinvite}"/>'
        yield '<recv request="BYE"/>'
        yield _send(*_reply("200 OK"), _NO_BODY, then=over)
        yield f'<label id="{reinvite}"/>'
        yield _send(*_reply("200 OK"), _CONTACT, _sdp(1, "sendrecv"))
        yield f'<recv request="ACK" next="{wait}"/>'
        changes: tuple[tuple[Key, Mark, str], ...] = (("hold", "held", "sendonly"), ("resume", "resumed", "sendrecv"))
        for key, mark, direction in changes:
            yield f'<label id="{pressed[key]}"/>'
            # who holds the line says nothing into it; a call without a stream has nothing to pause
            stream = _stream("pause" if key == "hold" else "resume") if speaks else ""
            yield from self._reinvite(direction, mark, stream, then=wait)
        yield f'<label id="{pressed["transfer"]}"/>'
        referred = self.sender.replace("From:", "Referred-By:")
        yield _send(*self.request("REFER"), "Refer-To: <[$target]>", referred, _NO_BODY)
        yield f'<recv response="202" next="{wait}"><action>{_log("transferred")}</action></recv>'
        yield f'<label id="{pressed["hang up"]}"/>'
        yield _mark("hanging up")
        yield _send(*self.request("BYE"), _NO_BODY, again=True)
        yield '<recv response="200"/>'
        yield f'<label id="{over}"/>'

    def talk(self, talk: Talk) -> Iterator[str]:
        """From the moment the call stands to its end."""
        stream = _stream(f"{talk.audio},1,0"), _stream("pause"), _stream("resume")
        start, halt, resume = stream if talk.audio else ("", "", "")
        yield _mark("talking", start) if not talk.keys else f"<nop>{self.known(start + _log('talking'))}</nop>"
        now = 0.0
        for hold in talk.holds:
            if hold.at < now:
                raise ScenarioError(f"the hold at {hold.at} s begins before the one before it has ended ({now} s)")
            yield _pause(hold.at - now)
            if halt:
                # who presses the key has stopped speaking: a packet that arrives with the INVITE gives way to the music
                yield f"<nop><action>{halt}</action></nop>"
                yield _pause(_BEFORE_HOLD)
            yield from self._reinvite("sendonly", "held")
            yield _pause(hold.seconds)
            yield from self._reinvite("sendrecv", "resumed")
            yield f"<nop><action>{resume}</action></nop>"
            now = hold.at + hold.seconds
        if talk.keys:
            yield from self.keys(speaks=talk.audio is not None)
        elif talk.hang_up_after is None:
            yield '<recv request="BYE"/>'
            yield _send(*_reply("200 OK"), _NO_BODY)
        else:
            yield _pause(max(talk.hang_up_after - now, 0))
            yield _mark("hanging up")
            yield _send(*self.request("BYE"), _NO_BODY, again=True)
            yield '<recv response="200"/>'
        yield _mark("over")

    def _reinvite(self, direction: str, mark: Mark, stream: str = "", then: str = "") -> Iterator[str]:
        self.version += 1
        yield _send(*self.request("INVITE"), _sdp(self.version, direction), again=True)
        yield '<recv response="100" optional="true"/>'
        yield f'<recv response="200"><action>{stream}{_log(mark)}</action></recv>'
        yield _send(*self.request("ACK"), _NO_BODY, then=then)


def _answer(role: Answer) -> Iterator[str]:
    tag = ";tag=[pid]-[call_number]"
    yield '<recv request="INVITE"><action>'
    for pattern, header, variables in (
        (".*", "From:", "from"),
        (".*", "To:", "to"),
        ("[0-9]+", "CSeq:", "cseq"),
        ("&lt;(sip:[^&gt;]+)&gt;", "Contact:", "contact,uri"),
    ):
        yield f'<ereg regexp="{pattern}" search_in="hdr" header="{header}" check_it="true" assign_to="{variables}"/>'
    yield "</action></recv>"
    yield '<Reference variables="from,to,cseq,contact,uri"/>'  # SIPp refuses a variable that is set and never read
    if role.refuse is not None:
        instead = (f"Contact: <sip:{role.moved_to}@[local_ip]>",) if role.moved_to else ()
        yield _send(*_reply(f"{role.refuse} Refused", tag), *instead, _NO_BODY, again=True)
        yield '<recv request="ACK"/>'
        yield _mark("over")
        return
    yield _send(*_reply("180 Ringing", tag), _CONTACT, _NO_BODY)
    yield _mark("ringing")
    if role.talk is None:
        yield '<recv request="CANCEL"/>'
        yield _send(*_reply("200 OK", tag), _NO_BODY)
        yield _send(*_reply("487 Request Terminated", tag, "CSeq: [$cseq] INVITE"), _NO_BODY, again=True)
        yield '<recv request="ACK"/>'
        yield _mark("over")
        return
    yield _pause(role.ring)
    yield _send(*_reply("200 OK", tag, "CSeq: [$cseq] INVITE"), _CONTACT, _sdp(1, "sendrecv"), again=True)
    yield '<recv request="ACK"/>'
    yield from _Dialogue("[$uri]", f"From:[$to]{tag}", "To:[$from]").talk(role.talk)


def _dial(role: Dial) -> Iterator[str]:
    uri = f"sip:{role.to}@[remote_ip]:[remote_port]"
    shown = f'"{role.name}" ' if role.name else ""
    sender = f"From: {shown}<sip:{role.number}@[local_ip]:[local_port]>;tag=[pid]-[call_number]"
    opening = _Dialogue(uri, sender, f"To: <{uri}>")
    steps = [_send(*opening.request("INVITE"), *role.headers, _sdp(1, "sendrecv"), again=True)]
    steps.append('<recv response="100" optional="true"/>')
    to = f"To: <{uri}>[peer_tag_param]"
    if role.user is not None:
        steps.append('<recv response="401" auth="true"/>')
        opening.recipient = to
        steps.append(_send(*opening.request("ACK", branch=f"[branch-{len(steps)}]"), _NO_BODY))
        opening.recipient = f"To: <{uri}>"
        proof = f"[authentication username={role.user} password={role.password or ''}]"
        steps.append(_send(*opening.request("INVITE"), proof, *role.headers, _sdp(1, "sendrecv"), again=True))
        steps.append('<recv response="100" optional="true"/>')
    invite = len(steps) - 2
    if role.cancel_after is not None:
        steps += ['<recv response="180"/>', _mark("ringing"), _pause(role.cancel_after)]
        steps.append(_send(*opening.request("CANCEL", branch=f"[branch-{len(steps) - invite}]"), _NO_BODY, again=True))
        steps.append('<recv response="200"/>')
    else:
        early = _Dialogue(uri, sender, to).known(_log("ringing")) if role.talk is not None and role.talk.keys else ""
        steps += [f'<recv response="180" optional="true">{early}</recv>']
        steps += [f'<recv response="{code}" optional="true"/>' for code in (181, 183)]
    refused = 487 if role.cancel_after is not None else role.refused
    if refused is not None:
        steps.append(f'<recv response="{refused}"/>')
        opening.recipient = to
        steps.append(_send(*opening.request("ACK", branch=f"[branch-{len(steps) - invite}]"), _NO_BODY))
        return iter([*steps, _mark("over")])
    if role.talk is None:
        raise ScenarioError("a call that is neither cancelled nor refused needs to know what it talks: talk=Talk(...)")
    inside = _Dialogue("[next_url]", sender, to, cseq=opening.cseq)
    steps += ['<recv response="200" rrs="true"/>', _send(*inside.request("ACK"), _NO_BODY)]
    return iter([*steps, *inside.talk(role.talk)])


def _register(role: Register) -> Iterator[str]:
    uri = "sip:[remote_ip]:[remote_port]"
    address = f"<sip:{role.user}@[remote_ip]:[remote_port]>"
    book = _Dialogue(uri, f"From: {address};tag=[pid]-[call_number]", f"To: {address}")
    rest = (f"Contact: <sip:{role.user}@{role.contact}>", f"Expires: {role.expires}", _NO_BODY)

    def ask(*lines: str) -> str:
        return _send(*(line for line in book.request("REGISTER") if line != _CONTACT), *lines, *rest, again=True)

    yield ask()
    yield '<recv response="100" optional="true"/>'
    yield '<recv response="401" auth="true"/>'
    yield ask(f"[authentication username={role.user} password={role.password}]")
    yield '<recv response="100" optional="true"/>'
    yield '<recv response="200"/>'
    yield _mark("over")
