"""How fast photos are taken in and measured, and how well blur and framing are told, beside plain ways to do the same.

    python benchmarks/intake.py [photos]

Speed: a whole intake (hash, check, decode, two sizes, files flushed to disk, rows) of noisy 1600 x 1200 JPEGs, against
a bare loop in the same process that only hashes each file and saves the same two sizes with Pillow. Blur: the share of
pairs in which a photo scores above another one blurred by 0.6 % of its long side (area under the ROC curve), against
the variance of the Laplacian at 256 px. Framing: drawn products whose box is known. Real photos join in where they are.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFilter
from scipy import ndimage
from sqlalchemy import Engine, create_engine, func, select

from app.catalog.tables import Catalog, Image
from app.database import migrate, transaction
from app.demo.drawing import draw, parts_of
from app.demo.scene import Scene
from app.demo.worlds import base_world
from app.host import servers
from app.intake import ingest, taking
from app.people import Person
from app.storage import Storage
from workers.signals.measure import measure

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
BLUR_SHARE = 0.006


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as place:
        server = servers.postgres(Path(place), is_durable=False)
        with servers.run(server):
            migrate(server.url)
            engine = create_engine(server.url)
            taking_in(engine, Path(place), count)
            engine.dispose()
    measuring()
    pictures = {"drawn products": [Pillow.fromarray(draw(scene, 768)) for scene, _ in base_world(40, 5)]}
    if REAL.is_dir():
        pictures |= {"catalogue photos": real("grocery/packshots", 54), "clothes at home": real("clothing", 60)}
    for name, group in pictures.items():
        blur(name, group)
    blur("all together", [picture for group in pictures.values() for picture in group])
    framing()


def taking_in(engine: Engine, place: Path, count: int) -> None:
    """Photos a second of a whole intake and of the bare loop, taken in turns so that a busy machine slows both."""
    folders = [place / f"photos-{half}" for half in range(4)]
    rng = np.random.default_rng(1)
    for number in range(count):
        soft = Pillow.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((1600, 1200))
        noisy = np.asarray(soft, dtype=np.int16) + rng.integers(-12, 13, (1200, 1600, 3), dtype=np.int16)
        folder = folders[number % len(folders)]
        folder.mkdir(exist_ok=True)
        Pillow.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=85)
    ours = bare = 0.0
    for folder in folders:
        ours += seconds(lambda: whole_intake(engine, Storage(place / "data"), folder))  # noqa: B023
        bare += seconds(lambda: bare_loop(folder, place / "bare"))  # noqa: B023
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(Image)) == count
    print(f"intake, whole        {count / ours:7.1f} photos/s")
    print(f"bare Pillow loop     {count / bare:7.1f} photos/s")
    print(f"whole against bare   {bare / ours:7.2f} times the speed")


def whole_intake(engine: Engine, storage: Storage, folder: Path) -> None:
    """Ask for a folder and take it in."""
    with transaction(engine) as session:
        person = Person(name="Ana", email=f"{folder.name}@example.org")
        catalog = Catalog(name=folder.name)
        session.add_all([person, catalog])
        session.flush()
        asked = ingest.request_intake(session, catalog, folder, person).id
    taking.take_in(lambda: transaction(engine), lambda **_: None, storage, asked, 100)  # type: ignore[misc]


def bare_loop(folder: Path, out: Path) -> None:
    """SHA-256 and the same two sizes, saved without flushing, checking or remembering anything."""
    out.mkdir(exist_ok=True)
    for file in sorted(folder.glob("*.jpg")):
        data = file.read_bytes()
        name = hashlib.sha256(data).hexdigest()
        picture = Pillow.open(io.BytesIO(data))
        picture.thumbnail((1024, 1024))
        picture.save(out / f"{name}.jpg", quality=92, subsampling=0)
        picture.thumbnail((256, 256))
        picture.save(out / f"{name}.webp", quality=82, method=1)


def measuring() -> None:
    """Photos a second of one core: time of this thread, so that other work on the machine counts little."""
    views = []
    for scene, _ in base_world(24, 9):
        buffer = io.BytesIO()
        Pillow.fromarray(draw(scene, 1024)).save(buffer, "JPEG", quality=92, subsampling=0)
        views.append(buffer.getvalue())
    measure(Pillow.open(io.BytesIO(views[0])))
    before = time.thread_time()
    for view in views:
        measure(Pillow.open(io.BytesIO(view)))
    rate = len(views) / (time.thread_time() - before)
    print(f"signals, 1024 px     {rate:7.1f} photos/s a core (limit 15)")


def blur(name: str, pictures: Sequence[Pillow.Image]) -> None:
    """Areas under the ROC curve of our sharpness and of the plain measure."""
    blurred = [picture.filter(ImageFilter.GaussianBlur(BLUR_SHARE * max(picture.size))) for picture in pictures]
    ours = area(
        [measure(picture).sharpness or 0 for picture in pictures],
        [measure(picture).sharpness or 0 for picture in blurred],
    )
    plain = area([laplacian(picture) for picture in pictures], [laplacian(picture) for picture in blurred])
    print(f"blur, {name:<16} AUC {ours:.3f}; variance of the Laplacian {plain:.3f} ({len(pictures)} photos)")


def laplacian(picture: Pillow.Image) -> float:
    """Variance of the Laplacian at 256 px."""
    grey = picture.convert("L")
    grey.thumbnail((256, 256))
    return float(ndimage.laplace(np.asarray(grey, dtype=np.float32)).var())


def area(sharp: Sequence[float], soft: Sequence[float]) -> float:
    """Share of pairs in which the sharp one scores higher; ties count half."""
    difference = np.subtract.outer(np.asarray(sharp), np.asarray(soft))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def framing() -> None:
    """Largest error of the four box edges on drawn products with cast shadows, in shares of the frame."""
    errors, missed, colours, grounds = [], 0, 0, 0
    scenes = [scene for scene, _ in base_world(240, 77) if scene.background != "busy"]
    for scene in scenes:
        signals = measure(Pillow.fromarray(draw(scene, 640)))
        if signals.box is None:
            missed += 1
            continue
        errors.append(float(np.abs(np.asarray(signals.box) - true_box(scene)).max()))
        colours += signals.subject_colour == scene.colour
        grounds += signals.background_colour == scene.background
    p50, p99 = np.percentile(errors, [50, 99])
    print(f"framing, drawn       box error p50 {p50:.4f}, p99 {p99:.4f}; not found {missed} of {len(scenes)}")
    print(f"colour, drawn        product {colours / len(scenes):.3f}, background {grounds / len(scenes):.3f} right")


def true_box(scene: Scene) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Box of a drawn product in shares of a square frame."""
    box = parts_of(scene.kind, scene.view)[1]
    size = (box[1] - box[0]) * np.array([scene.widening, 1.0])
    half = size * scene.scale / size.max() / 2
    centre = np.array([scene.centre_x, scene.centre_y])
    return np.clip(np.concatenate([centre - half, centre + half]), 0, 1)


def real(folder: str, count: int) -> list[Pillow.Image]:
    """Real photos, evenly spread over a folder."""
    files = sorted((REAL / folder).rglob("*.jpg"))
    return [Pillow.open(file).convert("RGB") for file in files[:: max(1, len(files) // count)]]


def seconds(work: Callable[[], None]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
