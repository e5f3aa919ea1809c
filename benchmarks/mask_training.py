"""The mask network, trained again from nothing; what comes out is a file like `workers/signals/mask_network.onnx`.

    python -m benchmarks.mask_training ../shared/data build/mask_network.onnx [steps]

Needs the photos that `mask_network.md` names, and a quarter of an hour of one core: 500 steps took 350 s of it, the
search for outlines included. More than half of the pictures are composites; the others are photos whose outline is
sure: packshots, and clothing where GrabCut comes to one outline from two starts. Steps end it, not the clock, so a busy
machine gives the same network; a few steps show that all of it works. It stands in the app only once it was copied
there: `python -m benchmarks.masks ../shared/data 150 build/mask_network.onnx` measures it beside the one that does.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.mask_composites import Assets, Pixels, compose, cut_out, halves, packshot_files, read, retaken
from benchmarks.mask_network import FIXED_STAGES, SIDE_PX, SubjectNetwork, load_encoder
from benchmarks.mask_rivals import two_starts
from workers.signals.lab import lab_planes
from workers.signals.mask import find_subject
from workers.signals.mask_network import log_odds
from workers.signals.regions import Mask, parts_of, ring_of

BATCH: Final = 16
COMPOSITES: Final = 0.55
ENCODER_RATE: Final = 0.2
WARM_UP_STEPS: Final = 60
SEED: Final = 1


class Stage(NamedTuple):
    """Part of a training: at which side in px, for which share of its steps, from which learning rate on."""

    side_px: int
    share: float
    rate: float


# Learning where products end wants pixels; the last stage gets the network used to the size that it is run at.
STAGES: Final = (Stage(192, 0.84, 2e-3), Stage(SIDE_PX, 0.16, 6e-4))
STEPS: Final = 1120
OVERLAP_AT_LEAST: Final = 0.95
# Between what was trained and what onnxruntime makes of the file, in log odds of some 10: their sums differ in order.
WRITTEN_WITHIN: Final = 0.01


def main() -> None:
    photos, target = Path(sys.argv[1]), Path(sys.argv[2])
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else STEPS
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        sys.exit(f"Writing the network needs {' and '.join(missing)}: `make install` brings them.")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    assets = gather(photos)
    print(
        f"{len(assets.cut_outs)} cut-outs, {len(assets.grounds)} backgrounds, {len(assets.photos)} photos with outline",
        flush=True,
    )
    if not assets.cut_outs or not assets.grounds:
        sys.exit(f"There is nothing to train on in {photos}: mask_network.md says which photos belong there.")
    write(trained(assets, steps), target)
    print(f"{target}: {target.stat().st_size:,} bytes, SHA-256 {hashlib.sha256(target.read_bytes()).hexdigest()}")


def trained(assets: Assets, steps: int) -> SubjectNetwork:
    """A network trained for so many steps, its encoder from ImageNet: the same one for the same assets and steps."""
    torch.manual_seed(SEED)
    network = SubjectNetwork()
    load_encoder(network)
    for stage in STAGES:
        train(network, assets, stage, max(1, round(steps * stage.share)))
    return network.eval()


def write(network: SubjectNetwork, target: Path) -> None:
    """Write a network as ONNX, whole or not at all. Raises ValueError when the file says other than the network."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.onnx")
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    program = torch.onnx.export(
        network, (torch.zeros(1, 3, SIDE_PX, SIDE_PX),), dynamo=True, input_names=["pixels"], output_names=["logit"],
        verbose=False,
    )  # fmt: skip
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # lines of code, with the paths of the machine they were run on
    part.write_bytes(program.model_proto.SerializeToString())
    pixels = np.random.default_rng(SEED).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())[0, 0].numpy()
    off = float(np.abs(log_odds(pixels, part) - wanted).max())
    if not off <= WRITTEN_WITHIN:
        raise ValueError(f"{part} gives log odds that are {off:.3f} from those of the network it was written from")
    part.replace(target)


def gather(photos: Path) -> Assets:
    """Cut-outs, backgrounds and photos of the half for training, and of the packshot classes that are not held out."""
    packshots = [(read(path), packshot_outline(path)) for path in packshot_files(photos, held_out=False)]
    known = [(pixels, outline) for pixels, outline in packshots if outline is not None]
    clothing, grounds = [], []
    for path in halves(photos / "clothing", training=True):
        pixels = read(path)
        outline = sure_outline(pixels)
        if outline is None:
            grounds.append((pixels, ring_of(*pixels.shape[:2], share=0.11)))
            continue
        clothing.append((pixels, outline))
        grounds.append((pixels, cv2.dilate(outline.astype(np.uint8), np.ones((11, 11))) == 0))
    for path in halves(photos / "grocery" / "in_store", training=True):
        pixels = read(path)
        grounds.append((pixels, ring_of(*pixels.shape[:2], share=0.2)))
    groceries = [cut_out(pixels, outline) for pixels, outline in known]
    garments = [cut_out(pixels, outline) for pixels, outline in clothing]
    # Groceries count three times: there are ten times as many garments.
    return Assets((*groceries, *garments, *groceries, *groceries), tuple(grounds), (*clothing, *known))


def packshot_outline(path: Path) -> Mask | None:
    """The outline of a packshot on white: the flood's, white faces of cartons filled in by their convex hull."""
    with (path.parent / "metadata.csv").open(encoding="utf-8") as lines:
        is_carton = (
            next(row["department"] for row in csv.DictReader(lines) if row["file_name"] == path.name) == "Packages"
        )
    pixels = read(path)
    subject = find_subject(pixels, lab_planes(pixels)).subject
    if subject is None:
        return None
    mask = np.pad(subject.astype(np.uint8), 12)
    closing = np.ones((9, 9), np.uint8) if is_carton else cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, closing)[12:-12, 12:-12]
    if is_carton:
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((7, 7)))
        corners = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32))
        return np.asarray(cv2.fillPoly(np.zeros_like(mask), [corners], 1) > 0)
    return _filled(mask)


def sure_outline(pixels: Pixels) -> Mask | None:
    """The outline of a garment that GrabCut finds from two starts alike; None where they differ or it is none.

    Asked of it: one piece or two, within the frame, 8 to 75 % of it, few holes, no star.
    """
    mask, overlap = two_starts(pixels)
    if overlap < OVERLAP_AT_LEAST:
        return None
    # parts_of joins over edges only: thin bridges do not make one garment of two things.
    parts, sizes = parts_of(mask)
    kept = (sizes > 0.1 * mask.sum())[parts]
    outlines, _ = cv2.findContours(kept.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outlines) not in (1, 2):
        return None
    full = _filled(kept.astype(np.uint8))
    is_solid = len(outlines) == 2 or full.sum() > 0.5 * cv2.contourArea(cv2.convexHull(outlines[0]))
    has_few_holes = (full & ~kept).sum() <= 0.04 * full.sum()
    is_whole = not (full & ring_of(*full.shape, share=0.0)).any()
    return full if is_solid and has_few_holes and is_whole and 0.08 < full.mean() < 0.75 else None


def _filled(mask: Pixels) -> Mask:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, -1) > 0)


def train(network: SubjectNetwork, assets: Assets, stage: Stage, steps: int) -> None:
    """Train for so many steps: AdamW, cosine, binary cross entropy and half a Dice loss, batches of 16."""
    rng = np.random.default_rng(SEED + stage.side_px)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fixed = {*network.stem.parameters(), *network.stages[:FIXED_STAGES].parameters()}
    encoder = [*network.stages[FIXED_STAGES:].parameters()]
    rest = [weight for weight in network.parameters() if weight not in {*fixed, *encoder}]
    rates = (stage.rate * ENCODER_RATE, stage.rate)
    optimizer = torch.optim.AdamW([{"params": encoder}, {"params": rest}], weight_decay=1e-4)
    for step in range(steps):
        pace = min(1.0, step / WARM_UP_STEPS) * (0.5 + 0.5 * float(np.cos(np.pi * step / steps))) + 0.01
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * pace
        loss = loss_of(network, assets, rng, stage.side_px)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*encoder, *rest], 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"{stage.side_px} px: step {step + 1} of {steps}, loss {loss.item():.4f}", flush=True)


def loss_of(network: SubjectNetwork, assets: Assets, rng: np.random.Generator, side_px: int) -> Tensor:
    """The loss of one batch: mean binary cross entropy, and half of a Dice loss a picture."""
    pairs = [(compose if rng.random() < COMPOSITES else retaken)(assets, rng, side_px) for _ in range(BATCH)]
    pixels = torch.from_numpy(np.stack([picture for picture, _ in pairs])).permute(0, 3, 1, 2).float()
    truth = functional.avg_pool2d(torch.from_numpy(np.stack([share for _, share in pairs]))[:, None], 2)
    logit = network(pixels.contiguous(memory_format=torch.channels_last))
    share = torch.sigmoid(logit)
    both = (share * truth).sum((1, 2, 3))
    dice = 1 - (2 * both + 20) / (share.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 20)
    loss: Tensor = functional.binary_cross_entropy_with_logits(logit, truth) + 0.5 * dice.mean()
    return loss


if __name__ == "__main__":
    main()
