"""Colour words: the English ones that captions use, and what shops in Europe write instead. Pure.

Captioners write English, but titles and given captions may not, and "Blauer Kessel" contradicts a red picture as
clearly as "Blue kettle" does. Words of 27 languages are understood: Bulgarian, Catalan, Croatian, Czech, Danish, Dutch,
English, Estonian, Finnish, French, German, Greek, Hungarian, Italian, Latvian, Lithuanian, Norwegian, Polish,
Portuguese, Romanian, Russian, Slovak, Slovenian, Spanish, Swedish, Turkish and Ukrainian. A
word that is another thing as well ("rose", Danish "sort") or a shade with no measured counterpart ("gold", "turquoise")
is known to be a colour and compared with nothing: there, nobody can tell.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final


def listed(words: str) -> frozenset[str]:
    """A set of words from how it is written down: parted by white space."""
    return frozenset(words.split())


COLOUR_WORDS: Final = listed("""
    beige black blue brown gray green grey maroon navy orange pink purple red teal white yellow
""")

# Stems and the endings they take; what stands here is put together once, below.
_GERMAN: Final = {
    "black": "schwarz", "white": "weiss", "red": "rot", "yellow": "gelb", "green": "grün gruen", "blue": "blau",
    "brown": "braun", "grey": "grau", "purple": "violett lilafarben", "pink": "rosafarben", "navy": "marineblau",
    "orange": "orangefarben", "maroon": "weinrot bordeauxrot",
}  # fmt: skip
_GERMAN_ENDINGS: Final = ("", "e", "er", "es", "en", "em")
_DUTCH: Final = {
    "black": "zwart zwarte", "white": "wit witte", "red": "rood rode", "yellow": "geel gele", "green": "groen groene",
    "blue": "blauw blauwe", "brown": "bruin bruine", "grey": "grijs grijze", "purple": "paars paarse",
}  # fmt: skip
_SCANDINAVIAN: Final = {
    "black": "svart svarta svarte", "white": "vit vitt hvid hvidt hvide hvit hvitt hvite",
    "red": "röd rött röda rød rødt røde", "yellow": "gul gult gula gule",
    "green": "grön grönt gröna grøn grønt grønne grønn", "blue": "blå blått blåa blåt",
    "brown": "brun brunt bruna brune", "grey": "grå grått gråa gråt",
}  # fmt: skip
_SHADES: Final = (
    "hell", "dunkel", "knall", "tief", "matt", "pastell", "himmel", "royal", "zitronen", "gras", "oliv",
    "licht", "donker", "hel", "ljus", "mörk", "lys", "mørk", "rubin", "feuer", "kirsch", "signal", "ziegel", "karmin",
    "himbeer", "erdbeer", "blut", "rost", "burgunder", "stahl", "tauben", "nacht", "kobalt", "königs", "jeans", "eis",
    "saphir", "tannen", "moos", "wald", "apfel", "flaschen", "smaragd", "maus", "stein", "asch", "schiefer", "beton",
    "schnee", "creme", "woll", "perl", "alt", "sonnen", "senf", "nuss", "kastanien", "schoko", "raben", "neon",
)  # fmt: skip
# By English colour: the words of the other languages, each in the forms that titles have them in.
_OTHERS: Final = {
    "black": """
        noir noire noirs noires negro negra negros negras nero nera neri nere preto preta pretos pretas czarny
        czarna czarne černý černá černé čierny čierna čierne crni crna crno fekete negru neagră musta черен
        черна черно μαύρο μαύρη μαύρος siyah negre črn črna črno juoda juodas melns melna черный чёрный черная
        чёрная черное чёрное чорний чорна чорне
    """,
    "white": """
        blanc blanche blancs blanches blanco blanca blancos blancas bianco bianca bianchi bianche branco branca
        brancos brancas biały biała białe bílý bílá bílé biely biela biele bijeli bijela bijelo fehér albă
        valkoinen valkea бял бяла бяло λευκό λευκή λευκός άσπρο άσπρη beyaz valge balta baltas balts белый белая
        белое білий біла біле
    """,
    "red": """
        rouge rouges rojo roja rojos rojas rosso rossa rossi rosse vermelho vermelha vermelhos vermelhas
        czerwony czerwona czerwone červený červená červené crveni crvena crveno piros vörös roșu roșie roşu rosu
        punainen червен червена червено κόκκινο κόκκινη κόκκινος kırmızı kirmizi vermell vermella vermells
        vermelles rdeč rdeča rdeče punane raudona raudonas sarkans sarkana красный красная красное красные
        червоний червоне czerwonego czerwonej
    """,
    "yellow": """
        jaune jaunes amarillo amarilla amarillos amarillas giallo gialla gialli gialle amarelo amarela amarelos
        amarelas żółty żółta żółte žlutý žlutá žluté žltý žltá žlté žuti žuta žuto sárga galben galbenă
        keltainen жълт жълта жълто κίτρινο κίτρινη κίτρινος sarı groc groga rumen rumena rumeno kollane geltona
        geltonas dzeltens dzeltena желтый жёлтый желтая жёлтая желтое жёлтое жовтий жовта жовте żółtego żółtej
    """,
    "green": """
        vert verte verts vertes verde verdes verdi zielony zielona zielone zelený zelená zelené zeleni zelena
        zeleno zöld vihreä зелен зелена зелено πράσινο πράσινη πράσινος yeşil yesil verd verda roheline žalia
        žalias zaļš zaļa zelen зеленый зелёный зеленая зелёная зеленое зелёное зелений зелене zielonego zielonej
    """,
    "blue": """
        bleu bleue bleus bleues azul azules azuis blu azzurro azzurra azzurri azzurre niebieski niebieska
        niebieskie modrý modrá modré plavi plava plavo kék albastru albastră sininen син синя синьо μπλε γαλάζιο
        mavi blava blaus blaves moder modra modro sinine mėlyna mėlynas zils zila синий синяя синее голубой
        голубая голубое синій синє блакитний блакитна niebieskiego niebieskiej
    """,
    "brown": """
        marron marrón marrones marrone marroni castanho castanha brązowy brązowa brązowe hnědý hnědá hnědé hnedý
        hnedá hnedé smeđi smeđa smeđe barna maro ruskea кафяв кафява кафяво καφέ kahverengi marró rjav rjava
        rjavo pruun ruda rudas brūns brūna коричневый коричневая коричневое коричневий коричнева
    """,
    "grey": """
        gris grise grises grigio grigia grigi grigie cinza cinzento cinzenta szary szara szare šedý šedá šedé
        sivý sivá sivé sivi siva sivo szürke gri harmaa сив сива сиво γκρι siv pilka pilkas pelēks pelēka серый
        серая серое сірий сіра сіре
    """,
    "pink": """
        rosa rosado rosada roze różowy różowa różowe růžový růžová růžové ružový ružová ružové ružičasti
        ružičasta rózsaszín roz vaaleanpunainen pinkki lyserød lyserødt lyserøde ljusrosa розов розова розово
        ροζ pembe roosa rožinė rožinis rozā розовый розовая розовое рожевий рожева
    """,
    "purple": """
        lila lilla morado morada morados moradas púrpura roxo roxa fioletowy fioletowa fioletowe fialový fialová
        fialové ljubičasti ljubičasta violetti лилав лилава μωβ μοβ vijolična vijoličen violetinė violetinis
        violets фиолетовый фиолетовая фіолетовий фіолетова
    """,
    "orange": """
        naranja naranjas arancione arancioni oranje laranja pomarańczowy pomarańczowa pomarańczowe oranžový
        oranžová oranžové narančasti narančasta narancssárga portocaliu portocalie oranssi оранжев оранжева
        πορτοκαλί turuncu taronja oranžna oranžen oranž oranžinė oranžinis oranžs оранжевый оранжевая оранжевое
        помаранчевий помаранчева
    """,
    "beige": """
        beżowy beżowa beżowe béžový béžová béžové bézs бежов μπεζ bej бежевый бежевая бежевий бежева
    """,
    "navy": """
        marino granatowy granatowa granatowe marinblå marineblå marineblauw lacivert
    """,
    "maroon": """
        granate bordowy bordowa bordó bordeauxrood vinröd bordo бордовый бордовая
    """,
}
UNCOMPARED: Final = listed("""
    amber anthracite anthrazit antraciet antracit antracite aqua argent argento argenté argentée bordeaux bronze
    bunt burgundy champagne charcoal cream creme crimson crème cyan dorada dorado doré dorée ecru elfenbein fuchsia
    gold golden goldene goldener goldenes goldfarben indigo ivory kaki khaki lavender lilac magenta mauve mehrfarbig
    mint mintgrün multicolor multicolore multicolored multicolour multicoloured nude ochre ocre oro petrol plateada
    plateado rose rosé scarlet silber silberfarben silbern silberne silberner silver sort sorte srebrny taupe
    terracotta transparent turchese turkoois turkos turquesa turquoise türkis vert-de-gris viola violet violetta
    violette zilver zilveren złoty
""")

# Beside a colour in one word with a hyphen: "rojo-oscuro".
_DEGREES: Final = listed("""
    bright brillant chiaro clair claro clara dark deep donker dunkel escuro foncé hell intense licht light ljus lys matt
    mörk mørk oscura oscuro pale pastel scuro tief vif
""")

_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


def _meanings() -> dict[str, str]:
    """Every form understood, folded, and the English colour it means."""
    forms = {word: word for word in COLOUR_WORDS} | {"gray": "grey"}
    bare: dict[str, str] = {}
    for english, stems in _GERMAN.items():
        bare |= {stem + ending: english for stem in stems.split() for ending in _GERMAN_ENDINGS}
    for table in (_DUTCH, _SCANDINAVIAN):
        bare |= {form: english for english, words in table.items() for form in words.split()}
    forms |= bare | {shade + form: english for shade in _SHADES for form, english in bare.items()}
    return forms | {form: english for english, words in _OTHERS.items() for form in words.split()}


_MEANINGS: Final = {word.casefold(): english for word, english in _meanings().items() if word not in UNCOMPARED}


def words_of(text: str) -> list[str]:
    """The words of a text in any script, in lower case; hyphens hold words together ("rot-proof" is one)."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


@lru_cache(maxsize=20_000)
def meaning(word: str) -> str | None:
    """The English colour that one word means: "blauer" -> "blue". None for every other word."""
    parts = [part for part in word.casefold().split("-") if part not in _DEGREES]
    return _MEANINGS.get(parts[0]) if len(parts) == 1 else _MEANINGS.get(word.casefold())


def may_name_a_colour(text: str) -> bool:
    """Whether a text says a colour, or may: in a script whose words are not all known here, nobody can tell."""
    words = words_of(text)
    return any(meaning(part) or part in UNCOMPARED or not _is_latin(part) for word in words for part in word.split("-"))


def _is_latin(word: str) -> bool:
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in word if not letter.isascii())
