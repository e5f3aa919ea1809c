"""The demo catalogue: a shop's folder of product pictures with metadata, and the known truth of every planted fault.

Layout of the folder: `metadata.csv` and pictures in sub-folders, as a shop would hand them over; `truth.json`, which
intake ignores; `README.txt`, which says that the pictures are drawn.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from app.demo.drawing import KINDS, draw
from app.demo.kinds import fresh
from app.demo.scene import BACKGROUNDS, BUSY, COLOURS, FRAMINGS, UNREADABLE, Scene
from app.demo.worlds import FRESH_WITHHELD, HeldOutPrompt, make_scene, place, prompts_for

# Planted faults and their share of the catalogue.
FAULT_SHARE: dict[str, float] = {
    "exact duplicate": 0.022,
    "padded copy": 0.022,
    "recompressed copy": 0.022,
    "blur": 0.036,
    "clutter": 0.036,
    "cropped": 0.036,
    "wrong title": 0.036,
}
BROKEN = "broken file"
COPIES = ("exact duplicate", "padded copy", "recompressed copy")
# Those that become photos of their own, which only their pictures give away.
NEAR_COPIES = ("padded copy", "recompressed copy")
PROCESSES = 2

README = """These pictures are drawn by a program, not photographed.

They belong to Packshot's demo: soft-shaded drawings of made-up products, so that the whole path from pictures to a
fine-tuned model can be tried in minutes and checked against a known truth. No product, brand or photograph is shown.
They may be used, copied and changed freely (CC0 1.0).

metadata.csv  file_name, title, category, description, product: what a shop would know about its pictures
truth.json    what each picture really shows and which faults were planted; never taken in with the pictures
"""


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    """One file of the catalogue: what it shows, what the metadata says, and its planted fault, if any.

    `original` is the file a copy was made from. `title` is what the metadata says and `true_title` what it should.
    """

    file_name: str
    product: str
    kind: str
    colour: str
    material: str
    background: str
    view: str
    framing: str
    title: str
    true_title: str
    description: str
    fault: str | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of a drawn catalogue, in the order of its metadata."""

    seed: int
    photos: tuple[DrawnPhoto, ...]

    def faulty(self, fault: str) -> tuple[DrawnPhoto, ...]:
        return tuple(photo for photo in self.photos if photo.fault == fault)


@dataclass(frozen=True, slots=True)
class _Plan:
    photo: DrawnPhoto
    scene: Scene
    width_px: int
    height_px: int


def draw_catalogue(folder: Path, count: int = 360, size_px: int = 512, seed: int = 0) -> Truth:
    """Draws `count` pictures of the six fresh kinds into `folder` with metadata, truth and README.

    Sides vary around `size_px`; JPEG, PNG and WebP mix. The same arguments give the same bytes. Never shows a
    combination in `FRESH_WITHHELD`. Raises ValueError for fewer than 30 pictures: every fault would not fit.
    """
    if count < 30:
        raise ValueError(f"A demo catalogue needs at least 30 pictures, not {count}.")
    plans = _plan(count, size_px, seed)
    for name in sorted({Path(plan.photo.file_name).parent for plan in plans}):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_write_picture, folder), plans, chunksize=8))
    truth = Truth(seed, tuple(plan.photo for plan in plans))
    _write_texts(folder, truth)
    return truth


def read_truth(folder: Path) -> Truth:
    """The truth that `draw_catalogue` wrote beside the metadata. Raises FileNotFoundError where there is none."""
    record = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return Truth(record["seed"], tuple(DrawnPhoto(**photo) for photo in record["photos"]))


def planted_in_words(truth: Truth, groups: Sequence[Sequence[str]]) -> str:
    """Of groups of copies, by their file names: how many planted copies are in them, and what else is.

    Two drawings of one product, in one colour and finish, from one side on one ground, differ in where it stands alone:
    one drawn twice, which cannot be told from a photo that was cut.
    """
    drawn = {photo.file_name: photo for photo in truth.photos}
    planted = [photo for fault in NEAR_COPIES for photo in truth.faulty(fault)]
    group_of = {name: at for at, names in enumerate(groups) for name in names}
    known = sum(group_of.get(photo.file_name, -1) == group_of.get(photo.original or "", -2) for photo in planted)
    twice = wrong = 0
    for names in groups:
        pictures = {drawn[name].original or name for name in names}
        scenes = {_scene_of(drawn[name]) for name in pictures if name in drawn}
        twice, wrong = twice + len(pictures) - len(scenes), wrong + len(scenes) - 1
    words = f"{known} of the {len(planted)} copies that were planted"
    if twice:
        words += f", {twice} {'drawing' if twice == 1 else 'drawings'} of what was drawn before on the same ground"
    return f"{words}, {wrong} that show something else"


def _scene_of(photo: DrawnPhoto) -> tuple[str, ...]:
    return photo.product, photo.material, photo.background, photo.view


def held_out_prompts(count: int = 64) -> list[HeldOutPrompt]:
    """Prompts for combinations of kind, colour and background that no catalogue contains, spread over the kinds.

    Raises ValueError when more are asked for than there are.
    """
    return prompts_for(FRESH_WITHHELD, count)


def _plan(count: int, size_px: int, seed: int) -> list[_Plan]:
    """Sound pictures first, then the faulty ones; shuffled together at the end."""
    rng = np.random.default_rng(seed)
    faults = [fault for fault, share in FAULT_SHARE.items() for _ in range(max(1, round(share * count)))]
    own_faults = [fault for fault in faults if fault not in COPIES] + [BROKEN]
    sound = count - len(faults) - 1
    combinations = [
        (kind, colour, background)
        for kind in fresh.KINDS
        for colour in COLOURS
        for background in BACKGROUNDS
        if (colour, background) not in UNREADABLE and (kind, colour, background) not in FRESH_WITHHELD
    ]
    rng.shuffle(combinations)
    materials = {
        (kind, colour): KINDS[kind].materials[rng.integers(len(KINDS[kind].materials))]
        for kind in fresh.KINDS
        for colour in COLOURS
    }
    plans: list[_Plan] = []
    numbers: dict[str, int] = {}
    for index in range(sound + len(own_faults)):
        kind, colour, background = combinations[index % len(combinations)]
        fault = own_faults[index - sound] if index >= sound else None
        scene = _scene(kind, colour, background, fault, rng)
        scene = replace(scene, material=materials[kind, scene.colour])
        plans.append(_new_photo(scene, fault, size_px, numbers, rng))
    originals = rng.choice(sound, size=len(faults) - len(own_faults) + 1, replace=False)
    copies = [fault for fault in faults if fault in COPIES]
    plans += [_copy(plans[source], fault) for source, fault in zip(originals, copies, strict=True)]
    return [plans[index] for index in rng.permutation(len(plans))]


def _scene(kind: str, colour: str, background: str, fault: str | None, rng: np.random.Generator) -> Scene:
    framing = FRAMINGS[rng.choice(7, p=(0.6, 0.12, 0.12, 0.05, 0.05, 0.03, 0.03))]
    scene = make_scene(kind, colour, background, rng, framing)
    if fault == "blur":
        return replace(scene, blur=float(rng.uniform(0.012, 0.022)))
    if fault == "clutter":
        return replace(scene, background=BUSY, colour="red" if (colour, BUSY) in UNREADABLE else colour)
    if fault == "cropped":
        x, y, scale = place("cropped at the edge", rng)
        return replace(scene, framing="cropped at the edge", centre_x=x, centre_y=y, scale=scale)
    return scene


def _new_photo(
    scene: Scene, fault: str | None, size_px: int, numbers: dict[str, int], rng: np.random.Generator
) -> _Plan:
    product = f"{scene.kind}-{scene.colour}"
    numbers[product] = numbers.get(product, 0) + 1
    suffix = ("jpg", "png", "webp")[rng.choice(3, p=(0.65, 0.15, 0.2))]
    true_title = f"{scene.colour} {scene.kind}".capitalize()
    wide, high = ((1, 1), (1, 1), (1, 1), (1, 1), (1.15, 1), (1, 1.15))[rng.integers(6)]
    side = size_px * rng.uniform(0.85, 1.15)
    finish = f" in a {scene.material} finish" if rng.random() < 0.8 else ""
    photo = DrawnPhoto(
        file_name=f"{plural(scene.kind)}/{product}-{numbers[product]:02d}.{suffix}",
        product=product,
        kind=scene.kind,
        colour=scene.colour,
        material=scene.material,
        background=scene.background,
        view=scene.view,
        framing=scene.framing,
        true_title=true_title,
        title=_wrong_title(scene, rng) if fault == "wrong title" else true_title,
        description=f"{scene.kind}{finish}, {scene.view} view.".capitalize(),
        fault=fault,
    )
    return _Plan(photo, scene, round(side * wide), round(side * high))


def _wrong_title(scene: Scene, rng: np.random.Generator) -> str:
    """A title that names another colour or another kind, never one that claims a withheld combination."""
    claims = [(scene.kind, colour) for colour in COLOURS if colour != scene.colour]
    claims += [(kind, scene.colour) for kind in fresh.KINDS if kind != scene.kind for _ in range(2)]
    allowed = [(kind, colour) for kind, colour in claims if (kind, colour, scene.background) not in FRESH_WITHHELD]
    kind, colour = allowed[rng.integers(len(allowed))]
    return f"{colour} {kind}".capitalize()


def _copy(source: _Plan, fault: str) -> _Plan:
    original = Path(source.photo.file_name)
    word, suffix = {
        "exact duplicate": ("copy", original.suffix),
        "padded copy": ("wide", original.suffix),
        "recompressed copy": ("web", ".jpg"),
    }[fault]
    name = original.with_name(f"{original.stem}-{word}{suffix}")
    photo = replace(source.photo, file_name=name.as_posix(), fault=fault, original=source.photo.file_name)
    return replace(source, photo=photo)


def _write_picture(folder: Path, plan: _Plan) -> None:
    picture = Pillow.fromarray(draw(plan.scene, plan.width_px, plan.height_px))
    path, quality = folder / plan.photo.file_name, 92
    if plan.photo.fault == "padded copy":
        border = round(0.12 * max(picture.size))
        wider = Pillow.new(
            "RGB", (picture.width + 2 * border, picture.height + 2 * border), BACKGROUNDS[plan.scene.background]
        )
        wider.paste(picture, (border, border))
        picture = wider
    if plan.photo.fault == "recompressed copy":
        quality = 38
        picture = picture.resize((round(picture.width * 0.7), round(picture.height * 0.7)), Pillow.Resampling.BICUBIC)
    data = _encoded(picture, path.suffix, quality)
    path.write_bytes(data[: len(data) // 3] if plan.photo.fault == BROKEN else data)


def _encoded(picture: Pillow.Image, suffix: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    match suffix:
        case ".png":
            picture.save(buffer, "PNG", compress_level=2)
        case ".webp":
            picture.save(buffer, "WEBP", quality=quality, method=2)
        case _:
            picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _write_texts(folder: Path, truth: Truth) -> None:
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "title", "category", "description", "product"))
        for photo in truth.photos:
            table.writerow((photo.file_name, photo.title, plural(photo.kind), photo.description, photo.product))
    record = {"seed": truth.seed, "photos": [asdict(photo) for photo in truth.photos]}
    (folder / "truth.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "README.txt").write_text(README, encoding="utf-8")


def plural(kind: str) -> str:
    """The kind's category: "watches"."""
    return f"{kind}es" if kind.endswith("ch") else f"{kind}s"
