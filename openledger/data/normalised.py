"""When two texts say the same: compared, counted and hashed in one normal form.

Unicode NFKC (wide, composed and compatibility forms become one), case folded, characters that nobody sees left out
(format and control characters, variation selectors, fillers), every run of white space one space, none at the ends. It
is not reversible and never trained on. Characters that a version of Unicode does not know yet are left as they are.
"""

import unicodedata

# Ignorable characters of Unicode (Default_Ignorable_Code_Point) that are marks or letters by their category: joiner of
# graphemes, fillers of Hangul, vowels of Khmer without a shape, variation selectors, and what is kept for more of them.
_IGNORABLE_RANGES = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
_IGNORABLE = frozenset([chr(number) for first, last in _IGNORABLE_RANGES for number in range(first, last + 1)])
_UNSEEN_CATEGORIES = ("Cc", "Cf")


def normalised_text(text: str) -> str:
    """The text in this form."""
    # Unseen characters go first: between a letter and its accent they would keep the two from becoming one.
    folded = _without_unseen(text).casefold()
    while not folded.isascii():
        again = _without_unseen(unicodedata.normalize("NFKC", folded)).casefold()
        if again == folded:
            break
        folded = again
    return " ".join(folded.split())


def _without_unseen(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join([character for character in text if character.isspace() or not _is_unseen(character)])


def _is_unseen(character: str) -> bool:
    return character in _IGNORABLE or unicodedata.category(character) in _UNSEEN_CATEGORIES
