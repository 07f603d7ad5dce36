"""What is made for download is handed out once."""

from usidx.look.app.offers import Offer, Offers


def test_an_offer_is_taken_once() -> None:
    offers = Offers()
    name = offers.put('a"b/c.csv', "text/csv", b"1").removeprefix("take/")
    assert offers.take("other") is None
    assert offers.take(name) == Offer("a_b_c.csv", "text/csv", b"1")
    assert offers.take(name) is None


def test_old_offers_are_let_go() -> None:
    offers = Offers()
    names = [offers.put("a", "text/csv", b"").removeprefix("take/") for _ in range(9)]
    assert offers.take(names[0]) is None
    assert offers.take(names[-1]) is not None
