"""Codes of everything that the models module refuses."""

from enum import IntEnum


class ModelsCode(IntEnum):
    """Codes of the models module."""

    NAME_TAKEN = 600
    UNKNOWN_MODEL = 601
    NOT_OWNER = 602
    UNKNOWN_PARENT = 603
    UNKNOWN_INPUT = 604
    INPUT_REVOKED = 605
    UNKNOWN_TERMS = 606
    BAD_SHARES = 607
    BAD_ENTRY = 608
    TERMS_CLASH = 609
    UNKNOWN_ENTRY = 610
    BAD_TIMES = 611
    BAD_GRADE = 612
    ALREADY_SUPERSEDED = 613
    BAD_SUPERSESSION = 614
    UNKNOWN_BENCHMARK = 615
    TOO_MANY_ROWS = 616
    BAD_CLAIM = 617
    ALREADY_CLAIMED = 618
