"""Volumes that stay staged for a while after their last pod: BMCPFS_DETACH_DELAY. Blocking.

The next pod then finds its file system attached. That a volume is here, and when its time began, is
noted in a file: a restart does not begin it anew, nor does an answer that kubelet did not get.
"""

import hashlib
import pathlib

from core import clock, errors

_PREFIX = "leaving-"
_HERE = ""
"""What a note says of a volume whose time has not begun."""


class Delays:
    """Notes below *work_dir*. delay_s: 0 = none."""

    def __init__(self, work_dir: pathlib.Path, delay_s: float, time: clock.Clock) -> None:
        self._work_dir = work_dir
        self._delay_s = delay_s
        self._clock = time

    def stay(self, volume_id: str) -> None:
        """The volume is wanted here: what began is off."""
        if self._delay_s > 0:
            self._write(volume_id, _HERE)

    def leave(self, volume_id: str) -> None:
        """Return when the volume's time is up, counted from the first call. Raises Unavailable.

        A volume that is not here any more, or never was, has no time.
        """
        note = self._note(volume_id)
        try:
            told = note.read_text(encoding="ascii")
        except FileNotFoundError:
            return
        now_s = self._clock.now().timestamp()
        try:
            began_s = float(told)
        except ValueError:
            self._write(volume_id, f"{now_s}\n")
            began_s = now_s
        # A clock that was set back must not keep the volume for ever.
        left_s = self._delay_s - abs(now_s - began_s)
        if left_s > 0:
            raise errors.Unavailable(
                f"volume {volume_id} stays for {left_s:.0f} s more for the next pod "
                "(BMCPFS_DETACH_DELAY); retry"
            )
        note.unlink(missing_ok=True)

    def _write(self, volume_id: str, text: str) -> None:
        note = self._note(volume_id)
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = note.with_suffix(".new")
        new.write_text(text, encoding="ascii")
        new.replace(note)

    def _note(self, volume_id: str) -> pathlib.Path:
        name = hashlib.sha256(volume_id.encode()).hexdigest()[:32]
        return self._work_dir / f"{_PREFIX}{name}"
