"""MixMonitor over the manager interface: the recorder's hands on the PBX."""

import contextlib
from pathlib import Path

from cti.ami.client import AmiClient
from cti.ami.errors import RefusedError
from recorder.session import SwitchRefusedError

MIXMONITOR_ID = "KIKITORI_MM"
STARTERS = 2  # the manager interface and the dialplan


class AmiSwitch:
    """MixMonitor over the manager interface. File names are ours alone: its third argument would run a shell."""

    def __init__(self, ami: AmiClient) -> None:
        """`ami` may be down: then starting fails and the dialplan records by itself."""
        self.ami = ami

    async def start(self, channel: str, left: Path, right: Path) -> None:
        """`b`: only while bridged; `r` and `t`: each side in a file of its own (decision 0002)."""
        options = f"br({left})t({right})i({MIXMONITOR_ID})"
        try:
            await self._act({"Action": "MixMonitor", "Channel": channel, "Options": options})
        except RefusedError as error:
            # Only this is certain: where the answer was lost, MixMonitor may run.
            raise SwitchRefusedError(str(error)) from error

    async def stop(self, channel: str) -> None:
        """Ends every MixMonitor of `channel` (both starters may have run), and says so to the dialplan."""
        await self._act({"Action": "StopMixMonitor", "Channel": channel})
        with contextlib.suppress(RefusedError):
            for _ in range(STARTERS):
                await self._act({"Action": "StopMixMonitor", "Channel": channel})
        await self._act({"Action": "Setvar", "Channel": channel, "Variable": MIXMONITOR_ID, "Value": ""})

    async def _act(self, action: dict[str, str]) -> None:
        reply = (await self.ami.send_action(action))[0]
        if reply.get("Response") != "Success":
            raise RefusedError(f"{action['Action']} on {action['Channel']}: {reply.get('Message')}")
