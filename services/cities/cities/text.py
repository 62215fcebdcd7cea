"""Names as people type them: with and without umlauts and accents, in any case, on any database."""

import unicodedata

from django.utils.text import slugify

# German spells its umlauts out; the rest are Latin letters that Unicode does not take apart.
_SPELLINGS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)


def folded(text: str) -> str:
    """Without case and marks: Düsseldorf, DÜSSELDORF and dusseldorf are the same."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))


def spelled_out(text: str) -> str:
    """In plain Latin letters where there are any: Düsseldorf is duesseldorf, Łódź is lodz, 東京 stays."""
    letters = unicodedata.normalize("NFC", text.casefold()).translate(_SPELLINGS)
    return "".join(_plain(letter) for letter in letters)


def searchable(name: str) -> str:
    """Contains each folded way to type the name."""
    return f"{folded(name)} {folded(spelled_out(name))}"


def slug_of(name: str, max_length: int) -> str:
    """Empty when the name has no letter and no digit."""
    return slugify(spelled_out(name), allow_unicode=True)[:max_length].strip("-_")


def _plain(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if base.isascii() else letter
