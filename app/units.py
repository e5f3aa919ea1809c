"""How times and sizes are written, on pages, in the terminal and in notes: one way for each."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """22080 -> "6 h 08 m"; under an hour "48 m", under ten minutes "4 m 05 s", under a minute "40 s".

    Under a second "0.4 s". The sign is dropped. The pages' clock writes the same: `app/web/static/js/clock.js`.
    """
    seconds = abs(seconds)
    if 0.05 <= seconds < 0.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours:,} h {minutes:02d} m"
    if minutes >= 10 or (minutes and whole % 60 == 0):
        return f"{minutes} m"
    return f"{minutes} m {whole % 60:02d} s" if minutes else f"{whole} s"


def bytes_(size: float) -> str:
    """1536000 -> "1.5 MB" (powers of ten)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
