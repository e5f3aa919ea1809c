"""What was measured and what is left, in words and shares: the small parts of the launch page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from app.cycles.clock import CycleClock
from app.launch.assessment import Assessment
from app.launch.pace import pace
from app.launch.preflights import RequestedLimits
from app.training.recipe import Recipe
from app.training.tables import Preflight
from app.units import bytes_, duration
from app.web.formats import money


@dataclass(frozen=True)
class Fact:
    """One thing that was measured: its name, its value, and a second line."""

    name: str
    value: str
    more: str


@dataclass(frozen=True)
class BudgetBar:
    """What is left of something after this run, and shares of the whole: used, and for this run."""

    name: str
    left: str
    used: float
    planned: float
    is_over: bool


def requested_of(time: str, amount_typed: str) -> tuple[RequestedLimits | None, dict[str, str]]:
    """The hard stop as typed, and what is wrong with it by field."""
    faults: dict[str, str] = {}
    seconds, amount = None, None
    if time:
        hours, colon, minutes = time.partition(":")
        if colon and hours.strip().isdigit() and minutes.strip().isdigit() and int(minutes) < 60:
            seconds = 3600.0 * int(hours) + 60.0 * int(minutes)
        if not seconds:
            faults["time"] = "hours and minutes, such as 8:30"
    if amount_typed:
        typed = amount_typed.replace(",", "").strip()
        is_number = typed.replace(".", "", 1).isdigit() and typed.isascii()
        amount = str(Decimal(typed)) if is_number and Decimal(typed) > 0 else None
        if amount is None:
            faults["money"] = "an amount, such as 34.00"
    requested = RequestedLimits(seconds, amount) if seconds is not None or amount is not None else None
    return requested, faults


def facts(preflight: Preflight | None, recipe: Recipe) -> list[Fact]:
    """What a preflight measured, five things worth a look."""
    if preflight is None:
        return []
    measured = preflight.measured
    at_once = recipe.micro_batch or recipe.batch_size
    way = pace(measured, recipe)
    peak = _gib(way.peak_bytes)
    total = measured.get("memory_total_bytes")
    steps = sorted(way.timed_s)
    timed = f"median of {len(steps)}{' compiled' if way.is_compiled else ''}, after {len(measured['warm_s'])} warm"
    return [
        Fact("Load", _seconds(measured["load_s"]), "all parts of the base"),
        Fact(
            "Peak memory",
            f"{peak} of {_gib(total)} GiB" if total else f"{peak} GiB",
            f"largest size, {at_once} at once",
        ),
        Fact("One step", _seconds(steps[len(steps) // 2]), timed),
        Fact("Sample", _seconds(measured["sample_s"]), f"1 picture, {recipe.sampling_steps} steps"),
        Fact(
            "Checkpoint", _seconds(measured["save_s"]), f"{bytes_(measured['checkpoint_bytes'])}, written and read back"
        ),
    ]


def elsewhere(measured_on: str, device: str) -> str:
    """Why what was measured on another device does not hold; empty where nothing was."""
    if not measured_on:
        return ""
    return f"It was measured on {measured_on}, and the gpu worker now works on {device}: measure it again there."


def costs(known: Assessment, price: Decimal | None, currency: str) -> tuple[str, str] | None:
    """What it will cost, and the range of that; None without a price or an estimate."""
    if known.estimate is None or not price:
        return None
    least, expected, most = (f"{currency}{amount:,.2f}" for amount in known.estimate.money(price))
    return expected, f"{least} to {most} at {currency}{price:,.2f} an hour"


def end_reserve(known: Assessment, price: Decimal | None, currency: str) -> str:
    """What is reserved for the end."""
    if known.estimate is None:
        return ""
    seconds = known.estimate.end_reserve_s
    and_money = f" and {currency}{price * Decimal(seconds) / 3600:,.2f}" if price else ""
    return f"{duration(seconds)}{and_money}"


def _bar(name: str, left: float, words: str, used: float, planned: float, whole: float) -> BudgetBar:
    share = min(1.0, max(0.0, used / whole))
    over = f"over by {words.removeprefix('−')}" if left < 0 else words
    return BudgetBar(name, over, share, min(1.0 - share, max(0.0, planned / whole)), left < 0)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else duration(seconds)


def _gib(size: float | None) -> str:
    return f"{(size or 0) / (1 << 30):.1f}"


def hours(seconds: float) -> str:
    """Seconds as hours and minutes, upwards: 8:30."""
    minutes = max(1, -(-int(seconds) // 60))
    return f"{minutes // 60}:{minutes % 60:02d}"


def stops(known: Assessment) -> tuple[str, str]:
    """The hard stop as its fields have it: time and money; empty while nothing is estimated."""
    if known.estimate is None:
        return "", ""
    return hours(known.limits.max_seconds), amount_of(known.limits.max_amount)


def amount_of(amount: Decimal | None) -> str:
    """An amount as a field has it."""
    return f"{amount:.2f}" if amount is not None else ""


def bars(now: CycleClock | None, known: Assessment, price: Decimal | None) -> list[BudgetBar]:
    """Time and money of the cycle: used, for this run, and left after it. None without a cycle."""
    if now is None:
        return []
    day_s = (now.ends_at - now.started_at).total_seconds()
    estimated = known.estimate
    run_s = estimated.in_all[1] if estimated else 0.0
    left_s = now.seconds_left - run_s
    budget_bars = [_bar("Time", left_s, duration(left_s), day_s - now.seconds_left, run_s, day_s)]
    if now.money_left is not None and price:
        cost = estimated.money(price)[1] if estimated else Decimal(0)
        free = now.money_left - known.left.reserved
        left, used = free - cost, float(now.budget - free)
        budget_bars.append(_bar("Money", float(left), money(left, now.currency), used, float(cost), float(now.budget)))
    return budget_bars
