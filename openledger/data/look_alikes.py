"""Letters of other scripts that look like a Latin one, for comparing texts: nothing is ever shown or trained on so.

The letters are those that Unicode's list of confusable characters (Technical Standard 39) gives for one Latin letter,
of scripts that people have fonts for, and whose small and capital forms stand for one Latin letter. The table is
part of this file, so that it is the same with every version of Unicode. Compatibility forms (wide, mathematical,
circled letters) are not in it: normalisation takes them away before. Letters and digits of ASCII stay apart.
"""

import re

# Latin letter: what looks like it, in small form where there is one.
_BY_LATIN_LETTER = {
    "a": "αаɑᴀꭺᗅꓮ", "b": "вьᏼᗷꓐʙƅᏏᑲᖯ", "c": "сᴄⲥꮯꓚ", "d": "ԁᎠᗞᗪꓓᏧᑯꓒᴅ", "e": "еҽꬲᎬⴹꓰᴇ", "f": "ϝքẝꞙꬵᖴꓝ",
    "g": "ԍɡցᶃᏀᏳꓖɢ", "h": "нһհⲏᎻᕼꓧᏂʜ", "i": "ιіıɩɪӏꙇⲓꓲᎥ", "j": "јϳᎫᒍꓙʝᴊ", "k": "кⲕᏦꓗᴋ", "l": "ⳑᏞᒪꓡʟ",
    "m": "мⲙϻᎷᗰꓟᴍ", "n": "ոռⲛꓠɴ", "o": "οσоօⲟჿᴏᴑꬽⵔꓳ", "p": "ρрⲣᏢᑭꓑᴘ", "q": "ԛգզⵕ", "r": "гᴦⲅꭇꭈᎡᏒᖇꓣʀ",
    "s": "ѕꜱᏕᏚꓢƽ", "t": "тⲧᎢꓔᴛ", "u": "υʋսᴜꞟꭎꭒᑌꓴ", "v": "νѵᴠᏙᐯⴸꓦ", "w": "ѡԝաᴡɯᏔᎳꓪ", "x": "хⲭꭓᕁᕽⵝꓫ",
    "y": "уүγɣʏყᶌỿꭚⲩᎩᎽꓬ", "z": "ᴢᏃꓜ",
}  # fmt: skip
# Latin letters with a stroke or a hook, for comparing letters alone: another letter to a reader, the same to a model.
_STROKES = {"b": "ƀɓ", "c": "ȼƈ", "d": "đɖɗð", "f": "ƒ", "g": "ǥɠ", "h": "ħ", "i": "ɨ", "j": "ɉ", "k": "ƙ", "l": "łƚɫ",
            "n": "ɲŋ", "o": "øɵ", "p": "ƥ", "r": "ɍ", "t": "ŧƭʈ", "u": "ʉ", "y": "ƴɏ", "z": "ƶȥ"}  # fmt: skip

BY_LOOK = {ord(like.casefold()): latin for latin, letters in _BY_LATIN_LETTER.items() for like in letters}
WITHOUT_STROKE = {ord(like): latin for latin, letters in _STROKES.items() for like in letters}
# Signs that one takes for another even in ASCII: zero and one beside letters, and the i that is a capital for an l.
COARSE = {ord("0"): "o", ord("1"): "l", ord("i"): "l"}

# Greek capitals look like Latin letters of which their small forms may look like others, or like none.
_CAPITALS = dict(zip(map(ord, "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"), "abezhikmnoptyx", strict=True))
_HAS_CAPITAL = re.compile("[ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ]")
# Letters with the marks that stand on them: the text is taken apart. Whether there is a capital among them is asked
# afterwards: a pattern that looks for one would go through a word again from each of its letters.
_WORD = re.compile("(?:[^\\W\\d_]|[\u0300-\u036f])+")
_LATIN_LETTER = re.compile("[A-Za-z]")
_ALL_CAPITALS_LIKE_LATIN = re.compile("[ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕЅІЈКМНОРСТУХ]{2,}")


def capitals_by_look(text: str) -> str:
    """The text with Greek capitals read by their look in words that a reader takes for Latin: words with a Latin
    letter, or of two and more capitals that look Latin and nothing else."""
    return _WORD.sub(_by_look, text) if _HAS_CAPITAL.search(text) else text


def _by_look(match: re.Match[str]) -> str:
    word = match[0]
    if not _HAS_CAPITAL.search(word):
        return word
    is_latin = _LATIN_LETTER.search(word) or _ALL_CAPITALS_LIKE_LATIN.fullmatch(word)
    return word.translate(_CAPITALS) if is_latin else word
