"""When two texts say the same: compared, counted and hashed in one normal form.

Unicode NFKC (wide, composed and compatibility forms become one), case folded, letters that look like Latin ones read
as these (openledger.data.look_alikes), digits of all scripts as 0 to 9, characters that nobody sees left out (format
and control characters, variation selectors, fillers), and marks that make no letter with the one before. Every run of
white space is one space, none at the ends. It is not reversible and never trained on. Of more than `MOST_MARKS` marks
on one letter, the first ones count: putting them in their order takes the square of their number.

Characters that a version of Unicode does not know yet are left as they are; of those that it knows, later versions
change neither decomposition nor case folding. Two machines so agree on a text when both know its characters.
"""

import re
import unicodedata
from functools import cache

from openledger.data.look_alikes import BY_LOOK, COARSE, WITHOUT_STROKE, capitals_by_look

# Ignorable characters of Unicode (Default_Ignorable_Code_Point) that are marks or letters by their category: joiner of
# graphemes, fillers of Hangul, vowels of Khmer without a shape, variation selectors, and what is kept for more of them.
_IGNORABLE_RANGES = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
_IGNORABLE = frozenset([chr(number) for first, last in _IGNORABLE_RANGES for number in range(first, last + 1)])
_UNSEEN_CATEGORIES = ("Cc", "Cf")
# Blocks of combining marks for letters of every script; marks of one script (vowels of Arabic, Hindi) are not in them.
_MARK = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
# Scripts that write no space between words: each of their characters counts as one word.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # noqa: E501
_WORD = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")


# No writing has more; Unicode's own format for streams stops there, too (UAX 15).
MOST_MARKS = 30
# Marks that are put into an order lie in the first two planes.
_MARKS_FROM, _MARKS_TO = 0x300, 0x20000


def normalised_text(text: str) -> str:
    """The text in this form."""
    if text.isascii():
        return " ".join(_without_unseen(text).casefold().split())
    folded = _folded(text)
    while (again := _folded(folded)) != folded:
        folded = again
    return " ".join(folded.split())


def words_of(normal: str) -> list[str]:
    """The words of a text in normal form: runs of letters and digits, between signs of any kind."""
    return _WORD.findall(normal)


def letters_of(normal: str) -> str:
    """Letters and digits alone of a text in normal form, without accents and strokes, `0`, `1` and `i` as `o` and `l`.

    Long texts with the same letters say the same, however their words are joined, cut or marked; short ones may not.
    """
    joined = "".join(words_of(normal))
    if not joined.isascii():
        joined = _MARK.sub("", unicodedata.normalize("NFKD", joined)).translate(WITHOUT_STROKE)
    return joined.translate(COARSE)


def _folded(text: str) -> str:
    # Unseen characters go first: between a letter and its accent they would keep the two from becoming one.
    apart = capitals_by_look(unicodedata.normalize("NFKD", _few_marks(_without_unseen(text))))
    latin = _OTHER_DIGIT.sub(_ascii_digit, apart.casefold()).translate(BY_LOOK)
    return _MARK.sub("", unicodedata.normalize("NFKC", latin))


def _few_marks(text: str) -> str:
    return _many_marks().sub(lambda run: run[0][:MOST_MARKS], text)


@cache
def _many_marks() -> re.Pattern[str]:
    """Runs of more characters than `MOST_MARKS` that begin, taken apart, with a mark that has a place in an order."""
    marks = [
        chr(number)
        for number in range(_MARKS_FROM, _MARKS_TO)
        if unicodedata.combining(unicodedata.normalize("NFKD", chr(number))[0])
    ]
    return re.compile(f"[{''.join(marks)}]{{{MOST_MARKS + 1},}}")


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match[0]))


def _without_unseen(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join([character for character in text if character.isspace() or not _is_unseen(character)])


def _is_unseen(character: str) -> bool:
    return character in _IGNORABLE or unicodedata.category(character) in _UNSEEN_CATEGORIES
