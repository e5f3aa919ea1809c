"""Writes the base model's training pictures: `python -m app.demo.base_set FOLDER --count 6000 --size 64`."""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path

from PIL import Image as Pillow

from app.datasets.manifest import ManifestRow, write_manifest
from app.demo.drawing import draw
from app.demo.worlds import base_world, vocabulary

VALIDATION_EVERY = 40


def write_base_set(folder: Path, count: int, size_px: int, seed: int) -> None:
    """Draws `count` square PNGs into `folder`, with `manifest.jsonl` and `vocabulary.txt` (one word a line) beside.

    Every 40th picture is in the validation split. Existing files of the same names are replaced.
    """
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (scene, caption) in enumerate(base_world(count, seed)):
        buffer = io.BytesIO()
        Pillow.fromarray(draw(scene, size_px)).save(buffer, "PNG", compress_level=3)
        name = f"pictures/{index:05d}.png"
        (folder / name).write_bytes(buffer.getvalue())
        rows.append(
            ManifestRow(
                file=name,
                caption=caption,
                split="validation" if index % VALIDATION_EVERY == VALIDATION_EVERY - 1 else "train",
                group=f"{scene.colour}-{scene.kind}",
                sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
                width_px=size_px,
                height_px=size_px,
            )
        )
    write_manifest(folder / "manifest.jsonl", rows)
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--size", type=int, default=64, help="side of the square pictures in pixels")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write_base_set(chosen.folder, chosen.count, chosen.size, chosen.seed)


if __name__ == "__main__":
    main()
