"""When two texts say the same: compared, counted and hashed in one normal form.

Unicode NFKC (wide, composed and compatibility forms become one), case folded, format characters and variation selectors
left out (they are not seen), every run of white space one space, none at the ends. It is not reversible and never
trained on. Characters that a version of Unicode does not know yet are left as they are.
"""

import unicodedata

_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


def normalised_text(text: str) -> str:
    """The text in this form."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = folded.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFKC", folded)
        folded = "".join(
            [
                character
                for character in folded
                if unicodedata.category(character) != "Cf" and character not in _VARIATION_SELECTORS
            ]
        )
    return " ".join(folded.split())
