"""Logs that nobody can write to."""

import io
import logging

import structlog

from core import logs


class Gone(io.StringIO):
    """A pipe whose reader has ended."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_log_that_cannot_be_written_holds_nothing_up() -> None:
    before, handlers = structlog.get_config(), list(logging.root.handlers)
    logs.configure(json=True, verbosity=2, stream=Gone())
    try:
        structlog.get_logger().warning("nobody reads this")
    finally:
        structlog.configure(**before)
        logging.root.handlers[:] = handlers
