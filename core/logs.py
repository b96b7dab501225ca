"""Structured logs on stderr: JSON for machines, columns for people."""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog

_DEBUG_VERBOSITY = 4
"""klog habit: -v=4 and above is debugging."""


def configure(*, json: bool, verbosity: int, stream: TextIO | None = None) -> None:
    """Set up structlog and route the standard library's loggers into the same stream.

    verbosity: klog's number; 4 and above shows debug events.
    """
    level = logging.DEBUG if verbosity >= _DEBUG_VERBOSITY else logging.INFO
    out = sys.stderr if stream is None else stream
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Steady(out))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)


class _Steady:
    """A stream that never fails: who read it may have ended, and the work goes on."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._out.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._out.flush()


class _ToStructlog(logging.Handler):
    """Hands records of libraries to structlog, so that there is one format."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage())
