"""The drawn worlds: which scenes exist, how they are captioned, and which combinations are held out.

The base world holds the ten everyday kinds and trains the demo's base model; the fresh kinds belong to the demo
catalogue, which fine-tunes it. Both share colours, backgrounds, materials and framings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.captions.facts import CatalogueFacts, MeasuredFacts, sentence
from app.demo.drawing import KINDS
from app.demo.kinds import base, fresh
from app.demo.scene import BACKGROUNDS, BUSY, COLOURS, FRAMINGS, UNREADABLE, Scene

Combination = tuple[str, str, str]  # kind, colour, background

# centre x, centre y, scale: ranges that the framing's words describe with room to spare
_PLACEMENT: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "centred": ((0.485, 0.515), (0.49, 0.52), (0.66, 0.82)),
    "left of centre": ((0.31, 0.36), (0.48, 0.53), (0.52, 0.60)),
    "right of centre": ((0.64, 0.69), (0.48, 0.53), (0.52, 0.60)),
    "high": ((0.48, 0.52), (0.32, 0.36), (0.52, 0.60)),
    "low": ((0.48, 0.52), (0.63, 0.67), (0.52, 0.60)),
    "small in the frame": ((0.47, 0.53), (0.48, 0.54), (0.34, 0.40)),
    "close up": ((0.495, 0.505), (0.495, 0.505), (0.91, 0.95)),
    "cropped at the edge": ((0.12, 0.18), (0.46, 0.56), (0.70, 0.85)),
}
_FRAMING_SHARE = (0.55, 0.12, 0.12, 0.05, 0.05, 0.05, 0.04, 0.02)
_BUSY_SHARE = 0.02


def withheld(every: int, kinds: dict[str, object]) -> frozenset[Combination]:
    """Every `every`-th readable combination of kind, colour and clean background, spread over all three."""
    return frozenset(
        (kind, colour, background)
        for k, kind in enumerate(kinds)
        for c, colour in enumerate(COLOURS)
        for b, background in enumerate(BACKGROUNDS)
        if (colour, background) not in UNREADABLE and (k + 3 * c + 2 * b) % every == 0
    )


BASE_WITHHELD = withheld(7, dict(base.KINDS))
FRESH_WITHHELD = withheld(5, dict(fresh.KINDS))


def place(framing: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """Centre x, centre y and scale for a framing; a cropped product leaves by the left or the right edge."""
    (left, right), (top, bottom), (least, most) = _PLACEMENT[framing]
    x, y, scale = rng.uniform(left, right), rng.uniform(top, bottom), rng.uniform(least, most)
    if framing == "cropped at the edge" and rng.random() < 0.5:
        x = 1 - x
    return float(x), float(y), float(scale)


def make_scene(
    kind: str,
    colour: str,
    background: str,
    rng: np.random.Generator,
    framing: str = "centred",
    usual_view: float = 0.72,
) -> Scene:
    """A scene with the rest left to chance; `usual_view` is the probability of the kind's first view."""
    traits = KINDS[kind]
    view = traits.views[0] if rng.random() < usual_view else traits.views[rng.integers(len(traits.views))]
    x, y, scale = place(framing, rng)
    return Scene(
        kind=kind,
        colour=colour,
        material=traits.materials[rng.integers(len(traits.materials))],
        background=background,
        view=view,
        framing=framing,
        centre_x=x,
        centre_y=y,
        scale=scale,
        shadow=float(rng.uniform(0.25, 0.5)),
        widening=float(rng.uniform(0.95, 1.05)),
        tint=float(rng.uniform(-1, 1)),
        seed=int(rng.integers(2**31)),
    )


def describe(scene: Scene, with_material: bool = True, with_view: bool = True) -> str:
    """The scene's full caption in the wording of `facts.sentence`."""
    return sentence(
        CatalogueFacts(
            noun=scene.kind,
            material=scene.material if with_material else None,
            view=f"{scene.view} view" if with_view else None,
        ),
        MeasuredFacts(scene.colour, scene.background, scene.framing),
    )


def base_scenes(seed: int) -> Iterator[Scene]:
    """Endless scenes of the base kinds, never a withheld or unreadable combination."""
    rng = np.random.default_rng(seed)
    kinds, colours, backgrounds = tuple(base.KINDS), tuple(COLOURS), tuple(BACKGROUNDS)
    while True:
        kind, colour = kinds[rng.integers(len(kinds))], colours[rng.integers(len(colours))]
        background = BUSY if rng.random() < _BUSY_SHARE else backgrounds[rng.integers(len(backgrounds))]
        framing = FRAMINGS[rng.choice(len(FRAMINGS), p=_FRAMING_SHARE)]
        if (colour, background) not in UNREADABLE and (kind, colour, background) not in BASE_WITHHELD:
            yield make_scene(kind, colour, background, rng, framing)


def base_world(count: int, seed: int) -> list[tuple[Scene, str]]:
    """`count` scenes of the base kinds with captions of several forms; the same list for the same seed."""
    rng = np.random.default_rng((seed, 1))
    return [(scene, _caption(scene, rng)) for scene, _ in zip(base_scenes(seed), range(count), strict=False)]


def _caption(scene: Scene, rng: np.random.Generator) -> str:
    """Mostly full sentences; one in five shorter, for people also write short prompts."""
    unusual = scene.view != KINDS[scene.kind].views[0]
    with_material = rng.random() < 0.55
    with_view = unusual or rng.random() < 0.4
    form = rng.random()
    if form < 0.8:
        return describe(scene, with_material, with_view)
    material = scene.material if with_material else None
    if form < 0.9:
        facts = CatalogueFacts(noun=scene.kind, material=material, view=f"{scene.view} view" if unusual else None)
        return sentence(facts, MeasuredFacts(scene.colour, scene.background))
    return " ".join(word for word in (scene.colour, material, scene.kind) if word)


def vocabulary() -> list[str]:
    """Every word that captions of either world can hold, lower case and sorted.

    A word-level tokeniser for the base model must know the fresh kinds' names too, or they would all be one unknown
    word when the catalogue fine-tunes it.
    """
    seen: set[str] = {"product"}
    for kind, traits in KINDS.items():
        for view in traits.views:
            seen |= {kind, *traits.materials, *f"{view} view".split()}
    for framing in FRAMINGS:
        facts = MeasuredFacts("white", "white", framing)
        seen |= set(sentence(CatalogueFacts(), facts).lower().strip(".").replace(",", "").split())
    for words in (*COLOURS, *BACKGROUNDS, BUSY):
        seen |= set(words.split())
    return sorted(seen)


@dataclass(frozen=True, slots=True)
class HeldOutPrompt:
    """A prompt and its truth: the picture it asks for is right when kind, colour and background are."""

    text: str
    kind: str
    colour: str
    background: str


def prompts_for(combinations: frozenset[Combination], count: int) -> list[HeldOutPrompt]:
    """`count` prompts in the wording of `facts.sentence`: each kind from its usual view, centred, kinds in turn.

    Always the same ones, in the same order. Raises ValueError when there are fewer combinations than `count`.
    """
    if count > len(combinations):
        raise ValueError(f"Only {len(combinations)} combinations are held out, not {count}.")
    order = np.random.default_rng(0).permutation(len(combinations))
    shuffled = [sorted(combinations)[index] for index in order]
    turns: dict[str, int] = {}
    ranked = []
    for kind, colour, background in shuffled:
        turns[kind] = turns.get(kind, 0) + 1
        ranked.append((turns[kind], kind, colour, background))
    prompts = []
    for _, kind, colour, background in sorted(ranked)[:count]:
        facts = CatalogueFacts(noun=kind, view=f"{KINDS[kind].views[0]} view")
        text = sentence(facts, MeasuredFacts(colour, background, "centred"))
        prompts.append(HeldOutPrompt(text, kind, colour, background))
    return prompts
