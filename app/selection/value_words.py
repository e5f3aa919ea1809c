"""What the values of keys are called: in the facet pane, and in the sentence that a selection is told in."""

from __future__ import annotations

from typing import Final

from app.selection.kinds import NOTHING
from app.selection.tables import UNCHECKED

ARE: Final = {"kept": "are kept", "rejected": "are rejected", "needs_work": "need work", "unseen": "are unseen"}
IS: Final = {"kept": "is kept", "rejected": "is rejected", "needs_work": "needs work", "unseen": "is unseen"}
NOT: Final = {"kept": "kept", "rejected": "rejected", "needs_work": "needing work", "unseen": "unseen"}
CAPTIONS: Final = {
    "none": "without a caption",
    "captioner": "with a machine’s caption",
    "given": "with a caption given in a file",
    "person": "with a person’s caption",
}

BY: Final = {
    "person": "decided by a person",
    "rule": "with only a rule’s suggestion",
    "none": "without a decision or a suggestion",
}
OPTED_OUT: Final = {"yes": "opted out of training", "no": "not opted out of training"}
RULES: Final = {
    "empty": "Reject: empty", "small": "Reject: too small", "blurred": "Reject: blurred",
    "contradicted": "Look: caption contradicts", "uncaptioned": "Look: no caption",
    "cropped": "Look: cropped", "busy": "Look: a scene", "bare": "Look: a packshot",
    "dark": "Look: dark", "clipped": "Look: clipped to white", "crushed": "Look: clipped to black",
    "shadowed": "Look: contact shadow", "tinted": "Look: off white", "tiny": "Look: small in the frame",
    "blocky": "Look: JPEG blocks", "enlarged": "Look: little detail", "grey": "Look: no colour",
    "framed": "Look: a border", "collage": "Look: a collage", "several": "Look: several parts",
    "lettered": "Look: text beside it", "worded": "Look: much text", "clean": "Keep: no fault found",
}  # fmt: skip
LETTERING: Final = {
    "beside": "with text beside the product", "product": "with text on the product",
    "cannot tell": "with text somewhere", "none": "without text in the picture",
    "not read": "whose text is not read yet",
}  # fmt: skip
WRITING: Final = {
    "price": "with a price in the picture", "watermark": "with a watermark",
    "text": "with other text in the picture", NOTHING: "without any text that was read",
}  # fmt: skip
COPIES: Final = {
    "pixels": "in a group of the same pixels", "photo": "in a group of the same photo",
    "product": "in a group of one product", NOTHING: "without duplicates",
}  # fmt: skip
CROPPED: Final = {
    "yes": "cropped by the frame", "no": "whole in the frame",
    "cannot tell": "that may be cropped or not: it cannot be told",
}  # fmt: skip
KINDS: Final = {"long": "a caption", "short": "a short caption", "tags": "tags", "facts": "a facts caption"}
LINT: Final = {
    "any": "with something in the caption that it is better without", "banned": "with a banned phrase in the caption",
    "hedging": "with a caption that hedges", "spelling": "with a slip of spelling in the caption",
    "printed": "with words in the caption that stand otherwise in the picture",
    UNCHECKED: "whose caption was not looked at yet", NOTHING: "with nothing in a caption that it is better without",
}  # fmt: skip
CONTRADICTED: Final = {
    "yes": "with a caption that contradicts the picture", "no": "without a contradiction of caption and picture",
}  # fmt: skip
LINKED: Final = {"yes": "linked to another", "no": "not linked to another"}
BEST: Final = {"yes": "the best of its duplicates", "no": "not the best of any duplicates"}
MENDED: Final = {"yes": "mended", "no": "not mended"}
NOTES: Final = {
    "cmyk-without-profile": "CMYK without a profile", "broken-profile": "Broken profile",
    "large-profile": "Large profile", "large-text": "Large text", "first-of-several": "First of several pictures",
    "largest-page": "Largest page", "missing-end-mark": "End mark missing", "laid-on-white": "Laid on white",
    "reduced-to-8-bit": "Reduced to 8 bit", "hdr-brought-down": "HDR brought down",
}  # fmt: skip
