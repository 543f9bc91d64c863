"""What is in hands can be looked at until it is given back, and not a moment longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from appliance.ipc.errors import LoanError
from appliance.messages import Frame
from tests.ipc.mail import SLOTS, Mail, publish, received


def test_one_receives_only_with_empty_hands(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    publish(publisher, 2)
    with pytest.raises(LoanError, match="empty hands"):
        subscriber.receive()
    loan.release()
    assert received(subscriber) == 2


def test_a_loan_that_was_given_back_has_no_value(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    loan.release()
    loan.release()  # twice is once
    with pytest.raises(LoanError, match="given back"):
        _ = loan.value


def test_a_picture_dies_with_its_loan(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    data = loan.value.data
    assert data.readonly
    loan.release()
    with pytest.raises(ValueError, match="released"):
        bytes(data)


LOOKS: list[Callable[[memoryview], Any]] = [
    lambda data: np.frombuffer(data, np.uint8),
    lambda data: np.frombuffer(data, np.uint8)[10:20],
    np.asarray,
    lambda data: data[10:20],
    memoryview,
    lambda data: data.cast("I"),
    lambda data: data.toreadonly(),
]


@pytest.mark.parametrize(
    "look", LOOKS, ids=["array", "slice of array", "asarray", "slice", "memoryview", "cast", "toreadonly"]
)
def test_a_view_that_outlives_its_loan_is_an_error_and_the_slot_stays_lent(
    mail: Mail, look: Callable[[memoryview], Any]
) -> None:
    publisher, subscriber = mail.both()
    held = publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    view = look(loan.value.data)
    with pytest.raises(LoanError, match="outlives its loan"):
        loan.release()
    with pytest.raises(LoanError):
        subscriber.close()
    assert held not in {publish(publisher, byte) for byte in range(2, 20)}
    assert set(bytes(view)) == {1}

    del view
    loan.release()
    assert received(subscriber) == 19
    assert held in {publish(publisher, byte) for byte in range(20, 20 + SLOTS)}


def test_an_error_on_its_way_out_does_not_keep_the_slot(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)

    def look(frame: Frame) -> None:
        picture = np.frombuffer(frame.data, np.uint8)
        try:
            picture.reshape(7, 7)
        except ValueError:
            raise RuntimeError("no picture") from None

    loan = subscriber.receive()
    assert loan is not None
    with pytest.raises(RuntimeError, match="no picture"), loan as frame:
        look(frame)
    publish(publisher, 2)
    assert received(subscriber) == 2


def test_only_what_was_written_since_it_was_borrowed_can_be_sent_and_only_once(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    with pytest.raises(LoanError, match="borrowed and written, once"):
        publisher.send(publisher.borrow())
    publish(publisher, 1)
    with pytest.raises(LoanError, match="once"):
        publisher.send(publisher._writers[0])
    assert received(subscriber) == 1
    assert received(subscriber) is None
    assert publisher.lost == {"inference": 0, "gateway": 0}


def test_a_publisher_may_be_closed_twice_and_lets_go_of_its_channel_though_an_array_lives(mail: Mail) -> None:
    publisher = mail.publisher()
    array = np.frombuffer(publisher.borrow().data, np.uint8)
    with pytest.raises(BufferError):
        publisher.close()
    publisher.close()
    assert array.sum() == 0
    publish(mail.publisher(), 1)
