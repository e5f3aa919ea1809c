"""The licences of a loaded base's parts, and what its weights are known by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.launch.facts import LicensedPart
from app.launch.licences import UNKNOWN, of_folder
from workers import disk
from workers.families.registry import Family


def of(family: Family, base: str = "") -> tuple[LicensedPart, ...]:
    """Each part with weights, its licence and what that binds to; `base` is what the recipe calls the base."""
    return () if family.folder is None else of_folder(family.folder, base or family.folder.as_posix())


def of_trained(parts: tuple[LicensedPart, ...], denoiser: str) -> str:
    """The licence that the trained weights carry on: that of the denoiser they began as."""
    return next((part.licence for part in parts if part.name == denoiser), UNKNOWN)


def sha256(folder: Path) -> str:
    """SHA-256 (hex) of a part's weights: of the one file, or of the lines `SHA-256 NAME` of several."""
    files = sorted(folder.glob("*.safetensors"))
    lines = [f"{disk.sha256(file)}  {file.name}" for file in files]
    return lines[0].split()[0] if len(lines) == 1 else hashlib.sha256("\n".join(lines).encode()).hexdigest()
