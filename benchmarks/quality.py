"""How well blur is told from sharpness, and a clean ground from a scene, on real photos.

    python -m benchmarks.quality

Blur: each photo and the same blurred by a Gaussian of 1 % of its long side; the share of pairs in which a sharp one
scores above a blurred one (area under the ROC curve), beside cleanvision's blur score of the same files. Clean ground:
shops' pictures against photos from their shelves, by the kind of background that is measured: nothing is tuned, so all
of them count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFilter

from workers.signals.measure import measure

REAL: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
BLUR_SHARE: Final = 0.01
AUC_AT_LEAST: Final = 0.99
ACCURACY_AT_LEAST: Final = 0.97
CLOTHES: Final = 100

CLEANVISION: Final = """
import sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues({"blurry": {}}, n_jobs=1, verbose=False)
for name, score in lab.issues["blurry_score"].items():
    print("SCORE", name.rpartition("/")[2], score)
"""


def main() -> None:
    if not REAL.is_dir():
        sys.exit(f"NOTE: no real photos at {REAL}, so nothing is measured.")
    catalogue, clothes = opened("grocery/packshots"), opened("clothing")
    auc = blur("catalogue photos", catalogue)
    blur("clothes at home", clothes[:: max(1, len(clothes) // CLOTHES)])
    accuracy = clean_ground(catalogue, opened("grocery/in_store"))
    sys.exit(auc < AUC_AT_LEAST or accuracy < ACCURACY_AT_LEAST)


def opened(folder: str) -> list[Path]:
    """The photos of a folder."""
    return sorted((REAL / folder).rglob("*.jpg"))


def blur(name: str, photos: Sequence[Path]) -> float:
    """Prints the areas under the ROC curve, of our sharpness and of cleanvision's score, and returns ours."""
    with tempfile.TemporaryDirectory() as folder:
        for number, photo in enumerate(photos):
            with Pillow.open(photo) as file:
                picture = file.convert("RGB")
            picture.save(Path(folder) / f"{number}-sharp.png")
            soft = picture.filter(ImageFilter.GaussianBlur(BLUR_SHARE * max(picture.size)))
            soft.save(Path(folder) / f"{number}-soft.png")
        files = sorted(Path(folder).iterdir())
        ours = {file.name: sharpness(file) for file in files}
        done = subprocess.run([sys.executable, "-c", CLEANVISION, folder], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("SCORE ")]
    theirs = {file_name: float(score) for _, file_name, score in lines}
    kinds = [[file.name for file in files if kind in file.name] for kind in ("sharp", "soft")]
    figures = [area(*([scores[name] for name in names] for names in kinds)) for scores in (ours, theirs)]
    limit = f" (limit {AUC_AT_LEAST})" if name == "catalogue photos" else ""
    print(f"blur, {name:<17} AUC {figures[0]:.4f}{limit}; cleanvision {figures[1]:.4f}; {len(photos)} photos")
    return figures[0]


def sharpness(file: Path) -> float:
    """What cannot be told counts as not sharp."""
    with Pillow.open(file) as picture:
        return measure(picture).sharpness or 0.0


def area(sharp: Sequence[float], soft: Sequence[float]) -> float:
    """Share of pairs in which the sharp one scores higher; ties count half."""
    difference = np.subtract.outer(np.asarray(sharp), np.asarray(soft))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def clean_ground(clean: Sequence[Path], scenes: Sequence[Path]) -> float:
    """Prints and returns the balanced accuracy of "white or plain" as a test for a clean ground."""
    right = [is_clean(photo) for photo in clean], [not is_clean(photo) for photo in scenes]
    accuracy = float(np.mean(right[0]) + np.mean(right[1])) / 2
    print(
        f"clean ground            balanced accuracy {accuracy:.4f} (limit {ACCURACY_AT_LEAST}); "
        f"{len(clean)} shop pictures, {len(scenes)} from shelves"
    )
    return accuracy


def is_clean(photo: Path) -> bool:
    """Whether the ground is one colour, as measured."""
    with Pillow.open(photo) as picture:
        return measure(picture).background in ("white", "plain")


if __name__ == "__main__":
    main()
