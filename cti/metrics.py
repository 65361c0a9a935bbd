"""What the watch sees, as Prometheus asks for it. Numbers alone: no caller, no recording, no name of a person."""

from collections.abc import Sequence
from datetime import datetime
from math import nan
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from cti.doctor.finding import Finding, Severity
from cti.doctor.machine import ClockSeen, DiskSeen
from cti.doctor.seen import Unseen
from cti.health import HealthSeen
from recorder.vault.folder import OUTBOXES

# Of the recorder's answer to `status`: the metric, and what it is.
RECORDER: Final = {
    "calls": ("kikitori_calls", "calls on the PBX"),
    "recording": ("kikitori_calls_recorded", "calls that are recorded now"),
    "by_dialplan": ("kikitori_recordings_by_dialplan", "recordings of the last hour that the dialplan had to begin"),
    "in_step": ("kikitori_in_step", "1 while the recorder knows what happens on the PBX"),
    "events_waiting": ("kikitori_events_waiting", "manager events that wait"),
    "events_delay": ("kikitori_events_delay_seconds", "how late the last event was"),
    "events_dropped": ("kikitori_events_dropped", "events dropped since the recorder was started"),
    "events_tampered": ("kikitori_events_tampered", "events that a caller wrote into, since the recorder was started"),
    "events_oversized": ("kikitori_events_oversized", "events too large to be taken, since the recorder was started"),
}


class Metrics:
    """A registry that `show` brings up to date."""

    def __init__(self) -> None:
        """Nothing is known before `show`: every number is NaN."""
        self.registry = CollectorRegistry()
        self._recorder = {key: self._gauge(name, text) for key, (name, text) in RECORDER.items()}
        self._up = self._gauge("kikitori_up", "1 where the process answers", "role")
        self._free = self._gauge("kikitori_free_bytes", "room that is left", "place")
        self._size = self._gauge("kikitori_size_bytes", "room in all", "place")
        self._untold = self._gauge(
            "kikitori_segments_untold", "segments that log or catalogue do not know yet", "outbox"
        )
        self._clock = self._gauge("kikitori_clock_error_seconds", "how wrong the clock is at most, by the kernel")
        self._exceptions = self._gauge("kikitori_completeness_exceptions", "of the last days' statements")
        self._unstated = self._gauge("kikitori_days_unstated", "days of the last week without a statement")
        self._overdue = self._gauge("kikitori_callers_overdue", "callers who wait longer than they were promised")
        self._alarm = self._gauge("kikitori_alarm", "1 while the check is not well", "check", "severity")
        self._looked = self._gauge("kikitori_looked_timestamp_seconds", "when all of this was looked at")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        made = Gauge(name, text, labels, registry=self.registry)
        if not labels:
            made.set(nan)
        return made

    def show(self, seen: HealthSeen, findings: Sequence[Finding], now: datetime) -> None:
        """What cannot be seen now is left out, rather than shown as it was."""
        answer = {} if isinstance(seen.recorder, Unseen) else seen.recorder
        for key, gauge in self._recorder.items():
            gauge.set(answer.get(key, nan))
        self._up.labels("recorder").set(bool(answer))
        if seen.gate is not None:
            self._up.labels("gate").set(not isinstance(seen.gate, Unseen))
        vault = (seen.vault.free, seen.vault.size) if isinstance(seen.vault, DiskSeen) else (nan, nan)
        spool = (answer.get("spool_free", nan), answer.get("spool_size", nan))
        for place, (free, size) in (("spool", spool), ("vault", vault)):
            self._free.labels(place).set(free)
            self._size.labels(place).set(size)
        untold = dict.fromkeys(OUTBOXES, nan) if isinstance(seen.untold, Unseen) else seen.untold
        for outbox, count in untold.items():
            self._untold.labels(outbox).set(count)
        self._clock.set(seen.clock.error if isinstance(seen.clock, ClockSeen) else nan)
        if isinstance(seen.statements, Unseen):
            exceptions = unstated = nan
        else:
            exceptions = sum(count or 0 for count in seen.statements.values())
            unstated = sum(count is None for count in seen.statements.values())
        self._exceptions.set(exceptions)
        self._unstated.set(unstated)
        self._overdue.set(nan if isinstance(seen.overdue, Unseen) else seen.overdue)
        self.alarms(findings)
        self._looked.set(now.timestamp())

    def alarms(self, findings: Sequence[Finding]) -> None:
        """What is not well: also where nothing else could be looked at."""
        self._alarm.clear()
        for finding in findings:
            for severity in (Severity.warning, Severity.error):
                # What could not be looked at is no alarm: what kept us from it is one.
                self._alarm.labels(finding.check, severity.value).set(finding.made and finding.severity is severity)
