"""How figures are written, and commands in sentences: one way for each kind, used by templates as filters."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from app.database import utc_now
from app.jobs import Job
from app.units import bytes_, duration

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, places: int = 0) -> str:
    """3084 -> "3,084"; with places, 0.8134 -> "0.81"."""
    return f"{value:,.{places}f}"


def loss(value: float, places: int = 3) -> str:
    """0.1447 -> "0.145", 12.3 -> "12.3"; large and tiny ones in powers of ten: 450536 -> "4.51·10⁵"."""
    if value == 0 or 0.001 <= abs(value) < 9999.5:
        return f"{value:.{places}f}" if abs(value) < 9.9995 else f"{value:.4g}"
    figures, power = f"{value:.2e}".split("e")
    return f"{figures}·10{str(int(power)).translate(_RAISED)}"


def commands(sentence: str) -> Markup:
    """A sentence for a page: what is `in backticks` is set as a command is, and everything is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r'<code class="mono">\1</code>', str(escape(sentence))))  # noqa: S704


def share(value: float, places: int = 0) -> str:
    """0.84 -> "84 %"."""
    return f"{value * 100:.{places}f} %"


def plural(count: int, singular: str, many: str | None = None) -> str:
    """3, "photo" -> "3 photos"; 1 -> "1 photo"."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def to_freeze(kept: int, unseen: int) -> str:
    """What a freeze has to take: 12 and any -> "Freeze the 12 kept"; 0 and 55 -> "Freeze 55 unseen"."""
    return f"Freeze {unseen:,} unseen" if unseen and not kept else f"Freeze the {kept:,} kept"


def money(amount: Decimal | float, currency: str, has_cents: bool = False) -> str:
    """25.44, "€" -> "€25.44"; whole amounts without cents unless asked for, a sign before the currency.

    An amount too small for its cents is no zero: 0.003 -> "under €0.01".
    """
    sign = "−" if amount < 0 else ""
    rounded = round(Decimal(amount), 2)
    if amount > 0 and not rounded:
        return f"under {currency}0.01"
    places = 0 if rounded == rounded.to_integral_value() and not has_cents else 2
    return f"{sign}{currency}{abs(rounded):,.{places}f}"


def money_left(amount: Decimal, budget: Decimal, currency: str) -> str:
    """As `money`, but not the whole budget once something of it was spent: 79.996 of 80 left is "€79.99"."""
    all_but = budget - Decimal("0.01")
    return money(min(amount, all_but) if all_but < amount < budget else amount, currency)


def initials(name: str) -> str:
    """Ana Lind -> "AL"."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


JOBS = {
    "intake.take_in": "Taking in photos",
    "intake.try_again": "Trying refused files again",
    "signals.measure": "Measuring photos",
    "captions.propose": "Writing captions",
    "captions.count": "Counting tokens",
    "captions.lint": "Reading captions",
    "captions.look": "Looking at photos",
    "captions.ask": "Asking about photos",
    "photos.mend": "Mending the photo",
    "photos.group": "Grouping duplicates",
    "review.apply_rules": "Applying review rules",
    "operation.do": "Changing photos",
    "operation.look": "Looking at photos",
    "operation.ask": "Asking about photos",
    "operation.undo": "Taking back",
    "photos.embed": "Comparing how photos look",
    "photos.encode": "Comparing how photos look",
    "photos.read_phrase": "Reading the words",
    "photos.map": "Making the map",
    "dataset.freeze": "Freezing the version",
    "dataset.verify": "Verifying the version",
    "versions.export": "Exporting the version",
    "run.preflight": "Measuring",
    "run.train": "Fine-tuning",
    "run.export": "Writing the model",
    "sheet.draw": "Drawing the sheet",
    "sheet.measure": "Checking the pictures",
}


def job_name(job: Job) -> str:
    """What the job does, in words."""
    return JOBS.get(job.kind, job.kind)


def job_left(job: Job, now: datetime | None = None) -> str:
    """How long the job still takes at its pace so far: "about 2 min left"; empty when that cannot be told yet."""
    if job.state != "running" or not job.total or not job.done or job.started_at is None:
        return ""
    gone_s = ((now or utc_now()) - job.started_at).total_seconds()
    if gone_s < 2:
        return ""
    left_s = gone_s / job.done * max(0, job.total - job.done)
    if left_s < 60:
        return "under a minute left"
    minutes = round(left_s / 60)
    return f"about {minutes} min left" if minutes < 60 else f"about {minutes // 60} h {minutes % 60:02d} min left"


FILTERS: dict[str, Any] = {
    "number": number,
    "loss": loss,
    "commands": commands,
    "share": share,
    "plural": plural,
    "to_freeze": to_freeze,
    "money": money,
    "money_left": money_left,
    "duration": duration,
    "bytes": bytes_,
    "initials": initials,
    "job_name": job_name,
    "job_left": job_left,
}
