"""What captioners take and what they get right, against the limits the house promises.

    python -m benchmarks.captioners [../shared/data]

1. The facts captioner, over made-up rows: photos a second on two cores, by the processor time of this process and of
   the database. Limit: 100.
2. The colour that its captions name, where they name one: on a drawn catalogue, whose truth is known, and on the first
   hundred clothing photos of `colours_judged.json`, which a person judged (`benchmarks.colours` tells how) and nothing
   was tuned on. Limits: 95 % and 85 % right; there, right is what the person called it or found arguable, and what the
   person called it is printed beside it. Captions that name no colour are counted apart.
3. The captioner's loop (a job's: photos read from disk, batched, asked, judged, kept in the database) against a bare
   `generate` loop of the same tiny chat model and batch, which reads the same files. They take turns; the ratio is of
   processor time, each turn held against the one beside it, which had the same other work around it; the median of
   these. Limit: 0.95.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from sqlalchemy import Engine, select, text

from app import jobs
from app.captions import facts, proposing
from app.captions.asking import Asking
from app.captions.colour_words import meaning, words_of
from app.captions.facts import CatalogueFacts
from app.catalog.tables import Image
from app.database import engine_for, transaction
from app.demo.catalogue import draw_catalogue
from app.host import servers
from app.settings import Settings
from benchmarks import colours
from benchmarks.catalog_rows import fill
from tests import cast
from tests.workers.captions import tiny_captioners
from workers import celery_app
from workers.captions import caption_job, transformer
from workers.captions.shrinking import shrink
from workers.captions.transformer import TransformerCaptioner
from workers.devices.model_cache import ModelCache
from workers.signals.measure import measure

RATE_LIMIT: Final = 100.0
DRAWN_LIMIT, REAL_LIMIT, LOOP_LIMIT = 0.95, 0.85, 0.95
ROWS: Final = 4_000
DRAWN: Final = 120
REAL: Final = 100
# A job begins and ends once, so it is as long as one that people wait for.
PHOTOS: Final = 240
TURNS: Final = 5


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with database() as (engine, folder):
        is_met = [facts_rate(engine), loop_ratio(engine, folder)]
    is_met += [drawn_colours(), real_colours(photos)]
    raise SystemExit(0 if all(is_met) else 1)


@contextmanager
def database() -> Iterator[tuple[Engine, Path]]:
    """An embedded PostgreSQL with made-up rows, and its folder."""
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, ROWS)
            yield engine, Path(folder)
            engine.dispose()


def facts_rate(engine: Engine) -> bool:
    """Photos a second that the facts captioner writes of, on two cores."""
    with transaction(engine) as session:
        session.execute(text("delete from caption"))
        ids = list(session.scalars(select(Image.id).order_by(Image.id)))
    began, clock = used(engine), time.perf_counter()
    written = 0
    for start in range(0, len(ids), caption_job.FACTS_AT_ONCE):
        with transaction(engine) as session:
            written += proposing.propose_facts(session, ids[start : start + caption_job.FACTS_AT_ONCE])
    spent_s, clock_s = used(engine) - began, time.perf_counter() - clock
    rate = 2 * written / spent_s
    print(f"facts captioner: {written:,} captions, {spent_s:.1f} s of processors, {clock_s:.1f} s by the clock")
    print(f"  {rate:,.0f} photos/s on 2 cores (limit {RATE_LIMIT:,.0f})")
    return rate >= RATE_LIMIT


def used(engine: Engine) -> float:
    """Processor seconds of this process and of the database's."""
    with engine.connect() as connection:
        backend = psutil.Process(connection.scalar(text("select pg_backend_pid()")))
    server = backend.parent()
    families = [server, *server.children()] if server is not None else []
    spent = time.process_time()
    for process in families:
        times = process.cpu_times()
        spent += times.user + times.system
    if server is not None:
        spent += server.cpu_times().children_user + server.cpu_times().children_system
    return spent


def named_colour(picture: Pillow.Image, noun: str) -> str | None:
    """The colour that the facts captioner names a picture's product by, read back out of its caption."""
    measured = proposing.measured_facts(measure(picture))  # type: ignore[arg-type]  # has the columns' names
    caption = facts.sentence(CatalogueFacts(noun=noun), measured)
    subject = caption.split(",")[0].split(" on ")[0]
    said = [word for word in words_of(subject) if meaning(word)]
    if not said:
        return None
    assert measured.colour is not None
    return measured.colour


def drawn_colours() -> bool:
    """On a catalogue whose truth is known."""
    with tempfile.TemporaryDirectory() as folder:
        truth = draw_catalogue(Path(folder), DRAWN)
        named = []
        for photo in truth.photos:
            with suppress(OSError):  # a planted file that is torn is refused by intake
                picture = Pillow.open(Path(folder) / photo.file_name).convert("RGB")
                named.append((named_colour(picture, photo.kind), photo.colour))
    naming = [(said, true) for said, true in named if said is not None]
    right = sum(said.split()[-1] == true.split()[-1] for said, true in naming)
    share = right / max(1, len(naming))
    none = len(named) - len(naming)
    print(f"colour, drawn catalogue: {right} of {len(naming)} right, {none} named none: {share:.1%} (limit 95 %)")
    return share >= DRAWN_LIMIT


def real_colours(photos: Path) -> bool:
    """On real photos that a person judged."""
    judged = [
        (path, eye)
        for lot, of_lot in colours.read().items()
        if lot != "tuning"
        for path, eye in of_lot.items()
        if path.startswith("clothing")
    ][:REAL]
    if not (photos / judged[0][0]).is_file():
        print(f"colour, clothing: there are no photos in {photos}; not measured")
        return True
    named = [
        (named_colour(ImageOps.exif_transpose(Pillow.open(photos / path)).convert("RGB"), Path(path).parent.name), eye)
        for path, eye in judged
    ]
    naming = [(said, eye) for said, eye in named if said is not None]
    right = sum(said in eye.right for said, eye in naming)
    fair = sum(said in eye.right + eye.arguable for said, eye in naming)
    share = fair / max(1, len(naming))
    print(
        f"colour, {len(named)} clothing photos: {fair} of {len(naming)} right or arguable ({right} as the person "
        f"called it), {len(named) - len(naming)} named none: {share:.1%} (limit 85 %)"
    )
    return share >= REAL_LIMIT


def loop_ratio(engine: Engine, folder: Path) -> bool:
    """The whole loop of a job against a bare loop, the same tiny model."""
    url = engine.url.render_as_string(hide_password=False)
    settings = Settings(data_dir=folder, database_url=url, redis_url="memory://")
    (folder / "tiny").mkdir()
    captioner = transformer.load(str(tiny_captioners.llava(folder / "tiny")), "cpu")
    files = written_photos(engine, folder)
    with transaction(engine) as session:
        catalog_id = session.scalars(select(Image.catalog_id).order_by(Image.id.desc()).limit(1)).one()
        ids = list(session.scalars(select(Image.id).where(Image.catalog_id == catalog_id).order_by(Image.id)))
    turns: dict[str, list[float]] = {"loop": [], "bare": []}
    for _ in range(TURNS + 1):
        turns["bare"].append(seconds(lambda: bare(captioner, files)))
        turns["loop"].append(seconds(lambda: job(engine, settings, catalog_id, ids, captioner)))
    loop, plain = (statistics.median(turns[name][1:]) for name in ("loop", "bare"))
    ratio = statistics.median(
        by_hand / ours for by_hand, ours in zip(turns["bare"][1:], turns["loop"][1:], strict=True)
    )
    print(f"captioner loop: {PHOTOS / loop:.1f} photos/s, bare generate {PHOTOS / plain:.1f}, by processor time")
    print(f"  {ratio:.3f} of the bare loop (limit {LOOP_LIMIT})")
    return ratio >= LOOP_LIMIT


def written_photos(engine: Engine, folder: Path) -> list[Path]:
    """Photos of a catalog of their own; their files, of a usual size."""
    generator = np.random.default_rng(0)
    files = []
    with transaction(engine) as session:
        pile = cast.catalog(session, "Captioned")
        for _ in range(PHOTOS):
            photo = cast.image(session, pile)
            photo.width_px = photo.height_px = 1024
            low = Pillow.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            file = folder / photo.render_path
            file.parent.mkdir(parents=True, exist_ok=True)
            low.resize((1024, 1024)).save(file, "JPEG")
            files.append(file)
    return files


def bare(captioner: TransformerCaptioner, files: Sequence[Path]) -> None:
    """As somebody would write it by hand."""
    asking = Asking()
    for start in range(0, len(files), captioner.at_once):
        some = [shrink(Pillow.open(file)) for file in files[start : start + captioner.at_once]]
        inputs = captioner.inputs(some, [asking.question] * len(some))
        with torch.inference_mode():
            tokens = captioner.model.generate(**inputs, max_new_tokens=asking.most_tokens, do_sample=False, num_beams=1)
        captioner.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def job(engine: Engine, settings: Settings, catalog_id: int, ids: list[int], captioner: TransformerCaptioner) -> None:
    """A job of a captioner, from its claim to its end."""
    arguments = {"catalog_id": catalog_id, "image_ids": ids, "model": "tiny"}
    with transaction(engine) as session:
        number = jobs.request(session, "captions.look", arguments).id
    models = ModelCache(threads=1)
    celery_app.do(number, lambda work: caption_job.look(work, models, load=lambda *_: captioner), settings)
    while True:
        with transaction(engine) as session:
            left = (jobs.Job.state == "queued", jobs.Job.kind == "captions.look")
            waiting = session.scalars(select(jobs.Job.id).where(*left).order_by(jobs.Job.id)).first()
        if waiting is None:
            return
        celery_app.do(waiting, lambda work: caption_job.look(work, models, load=lambda *_: captioner), settings)


def seconds(act: Callable[[], None]) -> float:
    """Processor time that this process takes for it."""
    began = time.process_time()
    act()
    return time.process_time() - began


if __name__ == "__main__":
    main()
