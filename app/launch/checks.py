"""The checks before a run: what passed, warnings, what stands in the way, and what nobody can tell yet. Pure.

Each finding says what was found in one sentence. The button lights while nothing failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from app.catalog.copies import COPIES_SEEN
from app.launch import distilled
from app.launch.estimate import Estimate
from app.launch.facts import BaseFacts, may_be_same
from app.launch.licences import UNKNOWN
from app.launch.pace import pace
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.units import bytes_, duration

State = Literal["passed", "warning", "failed", "cannot_tell"]

_NOT_YET: Final = "not measured yet; the preflight tells"
_FULL_BYTES: Final = 16  # of a checkpoint, for each weight that is trained: the weight, its average, two memories
_LORA_SHARE: Final = 0.03  # of the base's weights, at the ranks offered
_TEXT_BYTES: Final = 4 * 4096  # of one encoded token, at the widest
_SAMPLE_BYTES: Final = 300_000


# No base learns at more: sides of larger photos are not counted.
LARGE_PX: Final = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, how it stands, and a sentence. `link` leads to what can be done."""

    name: str
    state: State
    sentence: str
    link: str = ""
    link_words: str = ""

    def row(self) -> dict[str, str]:
        """As it is kept in the database."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """What the database knows of a version's members: how many, and what is wrong with them.

    `uncompared`: members whose near copies could not be looked for; None where nobody looked for any.
    `long_sides` are the longest sides in px of the smaller photos, under `LARGE_PX`, each with how many have it.
    `masks`: members to learn from that have a mask.
    """

    version_id: int
    train: int
    validation: int
    empty_captions: int
    leaking_products: int
    leaking_pictures: int
    long_sides: tuple[tuple[int, int], ...] = ()
    uncompared: int | None = 0
    masks: int = 0


@dataclass(frozen=True, slots=True)
class RunSite:
    """Where a run would be: the disk's free bytes, the device's name ("" while unknown), and what it is busy with.

    `devices`: how many accelerators can work on one run together; None where there is none or nobody knows.
    `known_weights` are hashes by part that an earlier preflight of this base took.
    """

    free_bytes: int
    device: str = ""
    busy: str = ""
    known_weights: Mapping[str, str] | None = None
    devices: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What there is for a run: seconds and money of the cycle (None without one, or a price), and the run's limits.

    `amount` is what is left beside `reserved`, the money that other runs under way may still cost.
    """

    seconds: float | None
    amount: Decimal | None
    hour_price: Decimal | None
    currency: str
    limits: Limits | None = None
    reserved: Decimal = Decimal(0)

    @property
    def available_s(self) -> float | None:
        """Seconds on the device that a run and its sheet may take; None where nothing bounds them."""
        bounds = [self.seconds] if self.seconds is not None else []
        if self.amount is not None and self.hour_price:
            bounds.append(float(self.amount / self.hour_price * 3600))
        if self.limits is not None:
            bounds.append(self.limits.hard_stop()[0])
        return max(0.0, min(bounds)) if bounds else None


def findings(
    recipe: Recipe,
    base: BaseFacts,
    members: MemberCounts,
    place: RunSite,
    left: Left,
    measured: Mapping[str, Any] | None = None,
    estimate: Estimate | None = None,
) -> list[Finding]:
    """Everything that is known before a run, in the order of the page. `measured` is a preflight's, if there is one."""
    return [
        _pictures(members, measured),
        _captions(members, measured),
        _tokens(members, measured),
        _sizes(recipe, measured),
        *_enlarged(recipe, members),
        *_masks(recipe, members),
        _leakage(members),
        _weights(base, place, measured),
        *_distilled(base),
        _disk(recipe, base, place, measured),
        _device(recipe, place, measured),
        *_compile(recipe, measured),
        *_licences(base),
        _time(left, estimate),
        _money(left, estimate),
    ]


def is_open(all_findings: list[Finding]) -> bool:
    """Whether nothing stands in the way."""
    return all(finding.state != "failed" for finding in all_findings)


def counted(all_findings: list[Finding]) -> str:
    """ "9 passed · 2 warnings · 1 cannot tell": only what there is."""
    counts = Counter(finding.state for finding in all_findings)
    words: dict[State, str] = {
        "failed": "failed",
        "passed": "passed",
        "warning": "warning" if counts["warning"] == 1 else "warnings",
        "cannot_tell": "cannot tell",
    }
    return " · ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])


def _pictures(members: MemberCounts, measured: Mapping[str, Any] | None) -> Finding:
    count = members.train + members.validation
    broken = (measured or {}).get("undecodable")
    if broken is None:
        return Finding("Pictures", "cannot_tell", f"{count:,} of them; {_NOT_YET}")
    if not broken:
        return Finding("Pictures", "passed", f"all {count:,} decode")
    many = f"{len(broken):,} pictures" if len(broken) > 1 else "one picture"
    words = f"{many} cannot be learned from; the first is {broken[0]['file']}: {broken[0]['why']}"
    return Finding("Pictures", "failed", words)


def _captions(members: MemberCounts, measured: Mapping[str, Any] | None) -> Finding:
    empty = max(members.empty_captions, (measured or {}).get("captions_empty", 0))
    if not empty:
        return Finding("Captions", "passed", "none empty")
    many = f"{empty:,} are" if empty > 1 else "one is"
    link = f"/datasets/{members.version_id}"
    return Finding("Captions", "failed", f"{many} empty; such photos teach nothing", link, "Open the version")


def _tokens(members: MemberCounts, measured: Mapping[str, Any] | None) -> Finding:
    tokens = (measured or {}).get("tokens")
    if tokens is None:
        return Finding("Tokens", "cannot_tell", _NOT_YET)
    limit, over = tokens["limit"], tokens["over"]
    if not over:
        return Finding("Tokens", "passed", f"the longest caption has {tokens['longest']:,} of {limit:,}")
    many = f"{over:,} captions pass" if over > 1 else "one caption passes"
    return Finding("Tokens", "warning", f"{many} the encoder’s {limit:,}; the tail is not read")


def _sizes(recipe: Recipe, measured: Mapping[str, Any] | None) -> Finding:
    buckets = (measured or {}).get("buckets")
    if buckets is None:
        return Finding("Sizes", "cannot_tell", _NOT_YET)
    smallest = min(count for _, _, count in buckets)
    batch = recipe.micro_batch or recipe.batch_size
    if len(buckets) == 1:
        width, height, count = buckets[0]
        return Finding("Sizes", "passed", f"one size, {width} × {height}, for all {count:,}")
    state: State = "passed" if smallest >= batch else "warning"
    rare = "" if state == "passed" else f"; a batch takes {batch}, so some photos of it come again"
    return Finding("Sizes", state, f"{len(buckets)} buckets, the smallest holds {smallest:,}{rare}")


def _enlarged(recipe: Recipe, members: MemberCounts) -> Iterator[Finding]:
    """Photos that are smaller than what is learned: most of their pixels would be invented."""
    learned_px = max(recipe.resolution_px, recipe.second_resolution_px if recipe.second_from < 1.0 else 0)
    small = [(side, count) for side, count in members.long_sides if side < learned_px]
    if small:
        many = _many(sum(count for _, count in small), "photo")
        bound = recipe.enlarge_at_most
        shown = f"enlarged {bound:g} times at most and framed by their border" if bound else "enlarged to fit"
        informed = ", and SDXL is told their size" if recipe.family == "sdxl" else ""
        words = f"{many} under {learned_px} px; the smallest has {min(small)[0]}; {shown}{informed}"
        link = f"/datasets/{members.version_id}"
        yield Finding("Enlarged", "warning", words, link, "Open the version")


def _masks(recipe: Recipe, members: MemberCounts) -> Iterator[Finding]:
    """Where the background is to weigh less: how many photos say which part of them it is."""
    if recipe.needs_masks and not members.masks:
        words = "no photo has a mask, so the background weighs as much as the product; paint masks and freeze again"
        yield Finding("Masks", "warning", words, f"/datasets/{members.version_id}", "Open the version")
    elif recipe.needs_masks:
        others = "" if members.masks == members.train else "; in the others all of a photo weighs the same"
        have = "has" if members.masks == 1 else "have"
        yield Finding("Masks", "passed", f"{members.masks:,} of {members.train:,} photos {have} one{others}")


def _leakage(members: MemberCounts) -> Finding:
    leaks = members.leaking_products + members.leaking_pictures
    if not members.validation:
        return Finding("Leakage", "warning", "no validation photos: overfitting cannot be detected")
    if not leaks:
        return _copies(members)
    products = _many(members.leaking_products, "product")
    what = " and ".join(words for words in (products, _many(members.leaking_pictures, "picture")) if words)
    words = f"{what} {'is' if leaks == 1 else 'are'} in both splits"
    link = f"/datasets/{members.version_id}"
    return Finding("Leakage", "failed", f"{words}; freeze a new version", link, "Open the version")


def _copies(members: MemberCounts) -> Finding:
    """No product and no picture in both splits: what that leaves open."""
    none = "no product and no picture in both splits"
    if members.uncompared is None:
        link = f"/datasets/{members.version_id}"
        words = f"{none}; copies of pictures were not looked for when it was frozen. A new version does"
        return Finding("Leakage", "warning", words, link, "Open the version")
    if members.uncompared:
        many = _many(members.uncompared, "photo")
        return Finding("Leakage", "warning", f"{none}; {many} could not be compared, so copies of them are not seen")
    return Finding("Leakage", "passed", f"no product, picture or copy in both splits; {COPIES_SEEN}")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}s" if count > 1 else f"one {noun}" if count else ""


def _weights(base: BaseFacts, place: RunSite, measured: Mapping[str, Any] | None) -> Finding:
    if base.fault:
        return Finding("Weights", "failed", base.fault)
    parts = (measured or {}).get("weights")
    if parts is None:
        return Finding("Weights", "passed", f"on this machine, {bytes_(base.size_bytes)}")
    taken = {part["part"]: part["sha256"] for part in parts}
    known = place.known_weights
    if known is not None and known != taken:
        odd = sorted(name for name in taken.keys() | known.keys() if taken.get(name) != known.get(name))
        return Finding("Weights", "warning", f"{', '.join(odd)} changed since the last preflight of this base")
    again = "the same as before" if known is not None else "hashed for the first time"
    return Finding("Weights", "passed", f"present, {_many(len(parts), 'part')}, {again}")


def _distilled(base: BaseFacts) -> Iterator[Finding]:
    if base.few_steps:
        yield Finding("Distilled", "warning", distilled.warning(base.few_steps))


def _disk(recipe: Recipe, base: BaseFacts, place: RunSite, measured: Mapping[str, Any] | None) -> Finding:
    needed = needed_bytes(recipe, base, measured or {})
    how = "" if measured and "checkpoint_bytes" in measured else ", by the number of weights"
    words = f"{bytes_(needed)} needed{how}, {bytes_(place.free_bytes)} free"
    return Finding("Disk", "passed" if needed <= place.free_bytes else "failed", words)


def needed_bytes(recipe: Recipe, base: BaseFacts, measured: Mapping[str, Any]) -> int:
    """Bytes that a run writes: two whole checkpoints, the weights of all, the model, caches and samples."""
    trained = base.parameters * (1.0 if recipe.method == "full" else _LORA_SHARE)
    checkpoint = measured.get("checkpoint_bytes", _FULL_BYTES * trained)
    weights = measured.get("weights_bytes", checkpoint / 4)
    model = measured.get("export_bytes", base.size_bytes)
    saves = -(-recipe.steps // recipe.checkpoint_every)
    kept = _cache_bytes(recipe, base, measured) if recipe.cache else 0.0
    return int(2 * checkpoint + saves * weights + model + kept + saves * 4 * _SAMPLE_BYTES)


def _cache_bytes(recipe: Recipe, base: BaseFacts, measured: Mapping[str, Any]) -> float:
    """Bytes of the encoded captions and pictures that are not in the cache yet."""
    # Most families keep their padding, which their encoders read as well: only what one takes can tell. Preflights of
    # before 1 December 2026 did not measure it.
    by_tokens = measured.get("tokens", {}).get("longest", 0) * _TEXT_BYTES
    texts = measured.get("texts", 0) - measured.get("texts_cached", 0)
    # Without a measurement: latents take from a quarter of a byte a pixel (SD 1.5) to two (FLUX.2).
    by_pixels = 2 * max(recipe.resolution_px, recipe.stage(recipe.steps - 1).resolution_px) ** 2
    pictures = 0 if base.is_pixel else measured.get("pictures", 0) - measured.get("pictures_cached", 0)
    return float(texts * measured.get("text_bytes", by_tokens) + pictures * measured.get("picture_bytes", by_pixels))


def _device(recipe: Recipe, place: RunSite, measured: Mapping[str, Any] | None) -> Finding:
    name, tried_on = place.device, (measured or {}).get("device", "")
    if not name:
        before = f"measured on {tried_on}; " if tried_on else ""
        words = f"{before}no gpu worker has told of its device yet; `packshot up` starts one"
        return Finding("Device", "cannot_tell", words)
    if place.devices is not None and place.devices < recipe.processes:
        can = "only one can" if place.devices == 1 else f"only {place.devices} can"
        return Finding("Device", "failed", f"the recipe asks for {recipe.processes} devices; {can} work on a run here")
    if recipe.processes > 1 and place.devices is not None:
        name = f"{recipe.processes} × {name}"
    if not may_be_same(place.device, tried_on):
        return Finding("Device", "warning", f"{name}; measured on {tried_on}, so time and memory may differ")
    if place.busy:
        return Finding("Device", "warning", f"{name}, busy: {place.busy}; the run waits for it")
    return Finding("Device", "passed", f"{name}, free")


def _compile(recipe: Recipe, measured: Mapping[str, Any] | None) -> Iterator[Finding]:
    """What was found of compiling, where the recipe asks for it."""
    if not recipe.compile:
        return
    way = pace(measured, recipe) if measured and "step_s" in measured else None
    if way is None or not way.compiling:
        yield Finding("Compile", "cannot_tell", f"{_NOT_YET}, and without it nothing is compiled")
    else:
        yield Finding("Compile", "passed" if way.is_compiled else "warning", way.compiling)


def _licences(base: BaseFacts) -> Iterator[Finding]:
    """Each licence once, with the parts that are under it."""
    if not base.parts:
        yield Finding("Licence", "cannot_tell", f"{base.name} says nothing of its licences")
    together: dict[tuple[str, str], list[str]] = {}
    for part in base.parts:
        together.setdefault((part.licence, part.binds), []).append(part.name)
    for (licence, binds), names in sorted(together.items(), key=lambda item: bool(item[0][1])):
        state: State = "cannot_tell" if licence == UNKNOWN else "warning" if binds else "passed"
        words = f"{', '.join(names)}: {licence}"
        yield Finding("Licence", state, f"{words}. {binds.rstrip('.')}" if binds else words)


def _time(left: Left, estimate: Estimate | None) -> Finding:
    if estimate is None:
        return Finding("Time", "cannot_tell", _NOT_YET)
    _, expected, most = estimate.in_all
    bounds = [(left.seconds, "left"), (left.limits.max_seconds if left.limits else None, "allowed")]
    known = [(seconds, word) for seconds, word in bounds if seconds is not None]
    if not known:
        return Finding("Time", "warning", f"about {duration(expected)}; no active cycle, so only its hard stop applies")
    most_s, word = min(known)
    spare = most_s - expected
    if spare < 0:
        return Finding("Time", "failed", f"takes {duration(expected)}; {duration(most_s)} are {word}")
    if most > most_s:
        return Finding("Time", "warning", f"may take {duration(most)}; {duration(most_s)} are {word}")
    return Finding("Time", "passed", f"ends {duration(spare)} before it must")


def _money(left: Left, estimate: Estimate | None) -> Finding:
    if not left.hour_price:
        return Finding("Money", "cannot_tell", "not counted: the price of an hour is not configured")
    sign = left.currency
    others = f", {sign}{left.reserved:,.2f} are reserved by other runs" if left.reserved else ""
    if left.amount is not None and left.amount <= 0:
        return Finding("Money", "failed", f"nothing is left of the cycle’s budget{others}")
    if estimate is None:
        return Finding("Money", "cannot_tell", f"{_NOT_YET}{others}")
    _, expected, most = estimate.money(left.hour_price)
    amounts = [
        amount for amount in (left.amount, left.limits.max_amount if left.limits else None) if amount is not None
    ]
    if not amounts:
        return Finding("Money", "warning", f"about {sign}{expected:,.2f}; no active cycle, so no budget applies")
    if expected > min(amounts):
        return Finding("Money", "failed", f"costs {sign}{expected:,.2f}; {sign}{min(amounts):,.2f} are left{others}")
    if most > min(amounts):
        return Finding("Money", "warning", f"may cost {sign}{most:,.2f}; {sign}{min(amounts):,.2f} are left{others}")
    if left.amount is None:
        return Finding("Money", "passed", f"{sign}{min(amounts) - expected:,.2f} below its hard stop")
    return Finding("Money", "passed", f"{sign}{left.amount - expected:,.2f} are left after it{others}")
