"""What a photo shows, as a bare noun, from the words of a category. And which words are known to name a product. Pure.

A shop's category is taken at its word unless it names a department, several things or nothing. Names of folders and
files are anybody's: people name them after jobs, dates, cameras and splits, so they become nouns only by a rule that a
person accepted (`naming_rules`), and what is known to name a product says which rules to offer first.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from app.captions.colour_words import COLOUR_WORDS, listed
from app.captions.titles import plain_title, seen_text
from app.catalog.naming import FOLDER_WORDS

_ADVERTISING: Final = frozenset(
    ["sale", "new", "newest", "offers", "offer", "outlet", "bestseller", "bestsellers", "deals", "trending", "promo"]
)
_AND: Final = frozenset({"and", "or", "und", "oder", "et", "y", "e", "en"})
_NOTHING: Final = frozenset(
    {
        "a",
        "root",
        "default category",
        "featured",
        "frontpage",
        "front page",
        "home page",
        "homepage",
        "under",
        "n.a",
        "none",
        "null",
        "nan",
        "not sure",
        "tbd",
        "to do",
    }
)
# Whole departments: what hangs there is not "a kitchen" or "an accessory".
_DEPARTMENTS: Final = listed("""
    accessories apparel appliances arrivals art automotive baby bath bathroom beauty bedroom boys children clothes
    clothing cosmetics crafts decor decoration decorations drinkware electronics essentials everyday fashion fitness
    food footwear furniture garden gifts girls groceries grocery hardware health home homeware homewares household
    jewellery jewelry kids kitchen kitchenware lifestyle lighting living men mens menswear office outdoor outdoors
    packages pets sport sports stationery storage tableware textiles travel unisex vegetables women womens
    womenswear
""")
MATERIAL_WORDS: Final = (
    "matte", "glossy", "steel", "wooden", "ceramic", "glass", "leather", "cotton", "linen", "plastic", "brass",
    "copper", "rattan", "wool", "paper", "metal", "canvas", "rubber",
)  # fmt: skip

# Bare product nouns, singular where they have one. Left out: words that folders of pictures are called for
# another reason, such as "frame", "print", "case", "tablet", "mask", "set" and "top".
PRODUCT_NOUNS: Final = listed("""
    airfryer amplifier apple apron armchair backpack bag ball balm banana bangle banner barstool basket bathrobe
    bathtub beanie bed bedding beer belt bench bib bicycle bike bikini binoculars blanket blazer blender blouse
    boiler book bookcase bookshelf boot boots bottle bouquet bowl bowtie bra bracelet bread brooch broom brush
    bucket buggy bulb cabinet cable cake camcorder candle candleholder candlestick cape car carafe cardigan carpet
    carrot casserole cereal chain chair chandelier cheese chocolate chopsticks cloche clock coaster coat coffee
    coffeemaker colander collar comb comforter concealer cookie cookware corkscrew cot couch cream crib cucumber
    cufflink cufflinks cup cupboard curtain cushion cutlery decanter dehumidifier deodorant desk dinnerware dish
    dishwasher doll doorknob doormat drawer dress dresser drill drone drum drumstick dumbbell duvet earbuds
    earphones earring earrings easel espadrilles eyeglasses eyeliner eyeshadow fan faucet fedora figurine flashlight
    flask flipflops flower flute footstool fork foundation freezer fridge frypan glass glasses glove gloves goggles
    grater grill grinder guitar hairbrush hairdryer hammer hammock handbag handkerchief hanger hat headband
    headphones headset heater heels helmet highchair hoodie hook hose humidifier incense iron jacket jam jar jeans
    jersey jewel jug juice juicer jumper jumpsuit kayak kettle keyboard keychain keyring kimono kite knife
    knitwear ladder ladle lamp lampshade lantern laptop lawnmower leash leggings lemon lemonade lighter lime
    lingerie lipstick loafer loafers longsleeve lotion lounger luggage lunchbox mango mascara mattress melon
    microphone microscope microwave milk mirror mitten mittens moisturiser moisturizer monitor motorcycle mouse
    muffin mug nailpolish napkin necklace necktie notebook oil onion orange ornament ottoman outwear oven overalls
    oxfords pacifier paddle paintbrush pan pants parasol parka peach pear pen pencil pendant pepper perfume phone
    piano pillow pillowcase pitcher pizza planter plate pliers plum polo poncho popcorn poster pot potato pram
    printer projector pullover pump pumps purse puzzle pyjamas quilt racket radio raincoat rattle razor refrigerator
    ring robe rocker rope router rucksack rug ruler saddle salt sandal sandals sandwich sauce saucepan saucer
    sausage saw scarf scissors scooter screwdriver serum serviette shampoo shawl shelf shirt shoe shoes shorts
    shovel showerhead sideboard sieve sink skateboard skillet skirt sled sleepsuit slipper slippers smartphone
    smartwatch smock sneaker sneakers soap sock socks sofa soup spade spanner spatula speaker spectacles spoon
    spreader stapler sticker stocking stockings stool stove strainer stroller subwoofer suit suitcase sunglasses
    sunscreen surfboard sweater sweatpants sweatshirt swimsuit sword syrup t-shirt tablecloth tambourine teacup
    teapot teaspoon teddy tee teether telescope television tent thermometer thermos tie tights toaster toothbrush
    toothpaste tote towel toy tracksuit trainers tray tricycle tripod trolley trousers trowel trumpet tshirt tumbler
    turntable tuxedo ukulele umbrella underwear vacuum vase vest violin waistcoat wallet wardrobe washbasin watch
    watering-can wheelbarrow whisk wine wok wrench wristwatch yoghurt yogurt
""")
# In the plural they are things, in the singular a folder for something else: a program watches the "watch" folder,
# a "bucket" is a cloud's, and "banner" and "poster" hold advertising.
_PLURAL_ONLY: Final = frozenset({"watch", "bucket", "banner", "poster", "book", "notebook", "monitor", "printer"})
_IRREGULAR: Final = {
    "knives": "knife", "shelves": "shelf", "bookshelves": "bookshelf", "scarves": "scarf", "loaves": "loaf",
    "dishes": "dish", "benches": "bench", "mice": "mouse", "tomatoes": "tomato", "potatoes": "potato",
    "mangoes": "mango",
}  # fmt: skip
# Nouns that end like plurals and are none, are plural in the singular, or come in pairs: "blue jeans", not "blue jean".
_ALWAYS_PLURAL: Final = listed("""
    atlas canvas chassis christmas iris lens series
    binoculars boots chopsticks earbuds earphones espadrilles eyeglasses flipflops glasses gloves goggles headphones
    heels jeans leggings overalls pants pliers pyjamas sandals scissors shoes shorts slippers sneakers socks
    spectacles sunglasses sweatpants tights trainers trousers
""")


def singular(noun: str) -> str:
    """A plain English plural made singular: "kettles" -> "kettle", "watches" -> "watch"; "blue jeans" stays."""
    first, gap, last = noun.rpartition(" ")
    if last in _ALWAYS_PLURAL:
        return noun
    if last in _IRREGULAR:
        return first + gap + _IRREGULAR[last]
    if re.search(r"(ches|shes|sses|xes)$", noun):
        return noun[:-2]
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    return noun[:-1] if re.search(r"[^su]s$", noun) else noun


def of_category(category: str | None) -> str | None:
    """The noun of a shop's category: "Home > Kettles" -> "kettle". None for "Kitchen", "Mugs & Cups" and "Other"."""
    last = (plain_title(re.split(r"[>»›|/\\]", seen_text(category or ""))[-1]) or "").lower()
    words = set(re.findall(r"[^\W\d_]+", last))
    is_several = bool(re.search(r"[&,;+]", last)) or not words.isdisjoint(_AND)
    says_nothing = words <= FOLDER_WORDS | _ADVERTISING | _DEPARTMENTS or last in _NOTHING
    if says_nothing or is_several or any(letter.isdigit() for letter in last):
        return None
    return singular(last)


def of_folder(folder: str) -> str | None:
    """The noun of a folder's name, or None unless all its words are known products and materials: a guess.

    A colour in the name is left to the picture: "red mugs" -> "mug".
    """
    name = re.sub(r"\bt[\s_]shirt", "t-shirt", folder.lower())
    words = [word for word in re.split(r"[\s_]+", name) if word and word not in COLOUR_WORDS]
    if not words or any(word not in MATERIAL_WORDS and not _is_product(word) for word in words):
        return None
    return singular(" ".join(words)) if _is_product(words[-1]) else None


def is_of_folder(category: str, file_name: str) -> bool:
    """Whether a photo's category is no more than the name of a folder on its path."""
    pieces = PurePosixPath(file_name or "").parts[:-1]
    return category.strip() in {piece.replace("_", " ").strip() for piece in pieces}


def _is_product(word: str) -> bool:
    bare = singular(word)
    return bare in PRODUCT_NOUNS and not (word == bare and bare in _PLURAL_ONLY)
