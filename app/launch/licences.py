"""The licences of a base's parts, as far as they are known: its own model card first, then a table. Pure, no torch.

A pipeline's parts may come from different makers. What a part's class gives away goes by the table; every other part
is under the licence of the base that it was published with. The table names what model cards said when it was made
(November 2026); whoever gives a model away reads the licences themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from app.launch.facts import LicensedPart

UNKNOWN: Final = "not known"
_LOOK: Final = "Look at the model's card before giving the model or its pictures away."
_NON_COMMERCIAL: Final = (
    "The weights and what is trained from them may not be used in a business without another licence."
)
_USES: Final = "Some uses are forbidden, and the list goes along with every copy and every fine-tune."

# A licence by its name on a model card: how it is called, and what it binds to.
_NAMED: Final[dict[str, tuple[str, str]]] = {
    "apache-2.0": ("Apache-2.0", ""),
    "mit": ("MIT", ""),
    "creativeml-openrail-m": ("CreativeML OpenRAIL-M", _USES),
    "openrail++": ("CreativeML OpenRAIL++-M", _USES),
    "gemma": ("Gemma Terms of Use", "Google's list of forbidden uses and its terms go along with every copy."),
    "stabilityai-ai-community": (
        "Stability AI Community License",
        "A business that earns a million dollars a year or more needs another licence.",
    ),
    "flux-1-dev-non-commercial-license": ("FLUX.1 [dev] Non-Commercial License", _NON_COMMERCIAL),
    "flux-dev-non-commercial-license": ("FLUX [dev] Non-Commercial License", _NON_COMMERCIAL),
    "flux-non-commercial-license": ("FLUX Non-Commercial License", _NON_COMMERCIAL),
}

# Who made a base and what it is called on the hub: the licence on its card. A folder of another name tells nothing.
_BASES: Final[tuple[tuple[str, str, str], ...]] = (
    ("photoroom", "prx", "apache-2.0"),
    ("black-forest-labs", "flux.1-schnell", "apache-2.0"),
    ("black-forest-labs", "flux.1-dev", "flux-1-dev-non-commercial-license"),
    ("black-forest-labs", "flux.2-klein-4b", "apache-2.0"),
    ("black-forest-labs", "flux.2-klein-base-4b", "apache-2.0"),
    ("black-forest-labs", "flux.2-klein-9b", "flux-non-commercial-license"),
    ("black-forest-labs", "flux.2-klein-base-9b", "flux-non-commercial-license"),
    ("black-forest-labs", "flux.2-dev", "flux-dev-non-commercial-license"),
    ("stabilityai", "stable-diffusion-3", "stabilityai-ai-community"),
    ("stabilityai", "stable-diffusion-xl-base-1.0", "openrail++"),
    ("stable-diffusion-v1-5", "stable-diffusion-v1-5", "creativeml-openrail-m"),
    ("runwayml", "stable-diffusion-v1-5", "creativeml-openrail-m"),
    ("compvis", "stable-diffusion-v1-", "creativeml-openrail-m"),
)

# Text encoders that bases take over from other makers, by class.
_ENCODERS: Final[dict[str, str]] = {"T5GemmaEncoder": "gemma"}

# A Flux VAE gives itself away by its numbers. Bases other than FLUX took it from FLUX.1-dev.
_FLUX_VAE: Final = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}


def of_folder(folder: Path, name: str = "") -> tuple[LicensedPart, ...]:
    """The parts with weights of the pipeline in `folder`, known as `name`, and their licences.

    Nothing when the folder holds no pipeline. Reads its index, its card and small configs, never weights.
    """
    index = _json(folder / "model_index.json")
    own = _own(folder, name or folder.as_posix())
    parts = []
    for part, entry in index.items():
        if isinstance(entry, list) and (folder / part).is_dir() and list((folder / part).glob("*.safetensors")):
            licence, binds = _of_part(folder, part, str(entry[1]), str(index.get("_class_name")), own)
            parts.append(LicensedPart(part.replace("_", " "), licence, binds))
    return tuple(parts)


def named(licence: str) -> tuple[str, str]:
    """A licence as model cards name it: how it is called, and what it binds to; one not in the table keeps its name."""
    key = licence.strip().lower()
    return _NAMED.get(key, (licence, f"Not in Packshot's table. {_LOOK}") if key else (UNKNOWN, _LOOK))


def _of_part(folder: Path, part: str, kind: str, pipeline: str, own: tuple[str, str]) -> tuple[str, str]:
    if kind in _ENCODERS:
        return named(_ENCODERS[kind])
    if part == "vae" and not pipeline.startswith("Flux"):
        config = _json(folder / part / "config.json")
        if all(config.get(key) == value for key, value in _FLUX_VAE.items()):
            licence, binds = named("flux-1-dev-non-commercial-license")
            return licence, f"Its numbers are those of the FLUX.1 [dev] autoencoder. {binds}"
        if kind == "AutoencoderDC":
            return (
                UNKNOWN,
                f"Hub pages of DC-AE name the MIT licence for one version; which this is cannot be told. {_LOOK}",
            )
    return own


def _own(folder: Path, name: str) -> tuple[str, str]:
    """The licence of the base as a whole: what its card says at its top, else what the table knows of its name."""
    card = _front_matter(folder / "README.md")
    card_licence = str(card.get("license") or "")
    # "other" is how a card says that the licence has a name of its own.
    card_licence = str(card.get("license_name") or "") if card_licence == "other" else card_licence
    if card_licence:
        return named(card_licence)
    # A hub's own folder on this disk is called models--MAKER--BASE.
    plain = name.lower().replace("--", "/")
    for maker, base, licence in _BASES:
        if f"/{maker}/{base}" in f"/{plain}":
            return named(licence)
    return UNKNOWN, _LOOK


def _front_matter(card: Path) -> dict[str, Any]:
    try:
        parts = card.read_text(encoding="utf-8-sig").split("---", 2)
        known = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return known if isinstance(known, dict) else {}


def _json(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
