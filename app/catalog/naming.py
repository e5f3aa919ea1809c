"""What the folders on a photo's path say of it: its category where nothing better is known. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

# Names of folders that hold pictures without saying of what: of jobs, cameras, splits, sizes and stages of work.
_WORDS: Final = """
    album all amazon archiv archive assets back backup batch bilder camera canon catalog catalogue client clipped
    clippings collection crop cropped crops data dataset datasets dcim detail dev done download downloads draft dump
    edit edited edits eval evaluation export exports feed file files final finals folder foto fotos front fuji
    fujifilm gallery gopro group hi highres hires holdout hr image images img imgs import imports inbox incoming
    input item items jpeg jpg kunde large leica library low lowres lr mask masks master media medium misc mix mixed
    model models msdcf neu new nikon numbers old olympus ordner original originale originals other others out output
    outputs packshot packshots panasonic photo photos pic pics picture pictures png product products produkt
    produkte project projects public raw ready render renders res resized retouch retouched sample samples scan
    scans select selection selects set sets shoot shooting shop shot shots side sku skus small sony source src
    staging studio subset temp test testing thumbnails thumbs tiff tmp todo top train training uncategorised
    uncategorized uncropped unknown unsorted untitled upload uploads val valid validation version versions web webp
    website wip zip
"""
FOLDER_WORDS: Final = frozenset(_WORDS.split())


def folder_category(file_name: str) -> str | None:
    """The category that the nearest folder with a name of its own gives, e.g. "t-shirt" of "clothing/t-shirt/1.jpg".

    None at the top, and where every folder's name only says that there are pictures, when, or whose: "train", "2024".
    """
    for folder in reversed(PurePosixPath(file_name).parts[:-1]):
        name = folder.replace("_", " ").strip()
        if not set(re.findall(r"[^\W\d_]+", name.lower())) <= FOLDER_WORDS:
            return name[:200]
    return None
