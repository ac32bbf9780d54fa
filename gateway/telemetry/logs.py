"""Structured logs on standard error: one JSON object per line, no payloads, no patient data.

An unexpected error is logged by type and place only, since exception texts of libraries quote the values
that they stumbled over.
"""

import logging
import sys
import traceback
from typing import Literal

import orjson
import structlog

from gateway.telemetry.tracing import add_ids

Level = Literal["debug", "info", "warning", "error"]


def configure(level: Level = "info") -> None:
    """Set up structlog and send the standard library's loggers the same way."""
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            add_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_ToStructlog()], force=True)


class _ToStructlog(logging.Handler):
    """Library log records: message template without its arguments, which may hold values."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            "library",
            logger=record.name,
            template=str(record.msg)[:200] if record.args else record.name,
            **(where(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}),
        )


def where(error: BaseException) -> dict[str, object]:
    """Type and innermost places of an exception: what a developer needs and no value of it."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "error": type(error).__name__,
        "frames": [
            f"{frame.filename.rsplit('/gateway/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames
        ],
    }
