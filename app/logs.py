"""Lines of logs: whatever a stranger sends, a line stays one line, and no terminal obeys it."""

from __future__ import annotations

import copy
import logging
import re
from typing import Any, Final

# Controls (C0, DEL, C1), what parts lines elsewhere, and what turns the direction of text.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# PostgreSQL repeats in its DETAIL the row that it refused: names, e-mails, hashes.
_ROW: Final = re.compile(r"(?<=DETAIL:  )[^\n]*")
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Formats a record with every control character written out: `\\x1b` as four plain letters."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record. A traceback that another formatter has left in it is not taken over."""
        own = copy.copy(record)
        if own.exc_info:
            own.exc_text = None
        return super().format(own)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The record's own line."""
        return plain(super().formatMessage(record)).replace("\n", "\\n").replace("\t", "\\t")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, which has lines of its own."""
        return plain(super().formatException(ei))


def plain(text: str) -> str:
    """Text with control characters written out, but line ends and tabs; and without the row of a database's error."""
    text = _ROW.sub("left out", text)
    return _UNSAFE.sub(lambda control: control[0].encode("unicode_escape").decode(), text)


def configuration() -> dict[str, Any]:
    """What `logging.config.dictConfig` takes, for a process whose words go to its standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "app.logs.LineFormatter", "fmt": FORMAT}},
        "handlers": {"words": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["words"], "level": "INFO"},
        "loggers": {"uvicorn": {"level": "INFO"}, "httpx": {"level": "WARNING"}},
    }
