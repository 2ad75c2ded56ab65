"""Plain output for people: how a job goes, how far a file is."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Dict, Optional, TextIO

from norn.jobs import Progress

_DRAW_EVERY_S = 0.1


def _clean(text: str) -> str:
    """Names come from elsewhere: nothing in them may steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


class _Line:
    """The last line of a terminal, drawn again and again."""

    def __init__(self, stream: Optional[TextIO]) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.live = self.stream.isatty()

    def draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r\x1b[K" + text[: max(1, width)])
        self.stream.flush()

    def say(self, text: str) -> None:
        self.stream.write(("\r\x1b[K" if self.live else "") + text + "\n")
        self.stream.flush()


class ProgressPrinter:
    """For Job.wait(on_progress=...): a line for each change of a task, and on a terminal the state below."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self._line = _Line(stream)
        self._seen: Dict[str, str] = {}

    def __call__(self, p: Progress) -> None:
        for t in p.tasks:
            state = f"{t.status} (attempt {t.attempt + 1})" if t.attempt > 0 else t.status
            if t.status != "waiting" and self._seen.get(t.name) != state:
                self._line.say(f"{_clean(t.name)}: {_clean(state)}")
            self._seen[t.name] = state
        if p.ended:
            reason = f": {_clean(p.reason)}" if p.reason else ""
            self._line.say(f"job {_clean(p.job_id)} {_clean(p.status)}{reason}")
        elif self._line.live:
            done = sum(t.status in ("success", "pass") for t in p.tasks)
            running = ", ".join(_clean(t.name) for t in p.tasks if t.status == "running")
            self._line.draw(f"{p.percent:3d} %  {done}/{len(p.tasks)} tasks  {running or _clean(p.status)}")


class TransferPrinter:
    """For progress= of up- and downloads: bytes on one line, on a terminal only."""

    def __init__(self, what: str, stream: Optional[TextIO] = None) -> None:
        self._what = _clean(what)
        self._line = _Line(stream)
        self._drawn = 0.0

    def __call__(self, done: int, total: Optional[int]) -> None:
        now = time.monotonic()
        last = total is not None and done >= total
        if not self._line.live or (now - self._drawn < _DRAW_EVERY_S and not last):
            return
        self._drawn = now
        text = f"{self._what}: {done / 1e6:.1f} MB"
        if total:
            text += f" of {total / 1e6:.1f} MB ({100 * done // total} %)"
        if last:
            self._line.say(text)
            self._drawn = float("inf")
        else:
            self._line.draw(text)
