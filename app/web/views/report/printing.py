"""A page printed as PDF by Chromium, where this machine has one: no network, a time limit, one at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Final

from app.errors import TooMany, Unavailable
from app.settings import Settings

LIMIT_S: Final = 60
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS: Final = (
    "--headless", "--disable-gpu", "--no-pdf-header-footer", "--disable-extensions", "--no-first-run",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-breakpad", "--disable-dev-shm-usage", "--mute-audio",
    # The page names no address; were one in it after all, it would lead nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_printing: Final = threading.Semaphore(1)


class NotConfigured(Unavailable):
    """There is no Chromium on this machine."""

    title = "Not configured"


def chromium(settings: Settings) -> str | None:
    """The Chromium that prints: the one that is set, else the first on the PATH; None where there is none."""
    if settings.chromium is not None:
        return shutil.which(settings.chromium)
    return next((path for name in _NAMES if (path := shutil.which(name)) is not None), None)


def needs_chromium(settings: Settings) -> str:
    """The Chromium that prints. Raises NotConfigured where there is none."""
    program = chromium(settings)
    if program is None:
        raise NotConfigured(
            "No Chromium on this machine, so there is no PDF. Install it or name it in PACKSHOT_CHROMIUM; the HTML "
            "file can be printed from any browser meanwhile."
        )
    return program


def pdf(settings: Settings, html: str, limit_s: float = LIMIT_S) -> bytes:
    """The page as PDF. Raises NotConfigured without a Chromium, TooMany while another page is printed, Unavailable
    where it failed or took longer than `limit_s`."""
    program = needs_chromium(settings)
    # A browser takes a core and some hundred megabytes; other requests have threads of their own.
    if not _printing.acquire(blocking=False):
        raise TooMany("Another report is being printed. Try again in a few seconds.")
    try:
        with tempfile.TemporaryDirectory(prefix="packshot-print-", ignore_cleanup_errors=True) as folder:
            return _printed(program, html, Path(folder), limit_s)
    finally:
        _printing.release()


def _printed(program: str, html: str, folder: Path, limit_s: float) -> bytes:
    page, made = folder / "report.html", folder / "report.pdf"
    page.write_text(html, encoding="utf-8")
    # Chromium's sandbox refuses the root user, which is who runs in containers; the page has no script.
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    command = [program, *flags, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={made}", page.as_uri()]
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    process = subprocess.Popen(
        command, cwd=folder, env=environment | {"HOME": str(folder)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Printing took longer than {limit_s:g} s and was stopped. Try the HTML file.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the browser and the processes that it started
            process.wait()
    if process.returncode != 0 or not made.is_file():
        raise Unavailable("Chromium could not print the report. Try the HTML file, which any browser prints.")
    return made.read_bytes()
