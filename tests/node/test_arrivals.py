"""Which read a request came with."""

from node.arrivals import Arrivals


def test_a_request_arrived_with_the_read_that_held_its_last_byte() -> None:
    arrivals = Arrivals()
    arrivals.fed(10, 10, 1.0)
    arrivals.fed(10, 20, 2.0)
    # Requests of 4, 6, 7 and 3 bytes: the third lies in both reads.
    assert [arrivals.last_taken(pending) for pending in (16, 10, 3, 0)] == [1.0, 1.0, 2.0, 2.0]


def test_a_request_that_was_read_in_pieces_arrived_with_the_last_one() -> None:
    arrivals = Arrivals()
    for seconds in (1.0, 2.0, 3.0):
        arrivals.fed(10, int(10 * seconds), seconds)
    assert arrivals.last_taken(0) == 3.0


def test_what_was_handled_is_forgotten() -> None:
    arrivals = Arrivals()
    for number in range(1_000):
        arrivals.fed(10, 10, float(number))
    assert (len(arrivals._reads), arrivals.last_taken(0)) == (1, 999.0)
