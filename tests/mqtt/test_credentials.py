"""The password: from the settings or from a file, and never in a text."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.config import Mqtt
from appliance.mqtt.credentials import CredentialsError, password_of
from tests.mqtt.visit import Visit, visit
from tests.rig import Broker, free_port

SECRET = "s3cret-of-the-porch"


def with_file(file: Path) -> Mqtt:
    return Mqtt.model_validate({"username": "porch", "password_file": str(file)})


def test_without_any_there_is_none() -> None:
    assert password_of(Mqtt()) is None
    assert password_of(Mqtt(username="porch")) is None


def test_the_settings_have_it() -> None:
    assert password_of(Mqtt.model_validate({"username": "porch", "password": SECRET})) == SECRET


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n", f"{SECRET}\nmore\n"])
def test_a_files_first_line_is_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    assert password_of(with_file(file)) == SECRET


def test_blanks_belong_to_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("  pass word \n")
    assert password_of(with_file(file)) == "  pass word "


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    settings = with_file(file)
    assert password_of(settings) == "old"
    file.write_text("new\n")
    assert password_of(settings) == "new"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "its first line is empty"),
        (b"\n" + SECRET.encode(), "its first line is empty"),
        (b"\xff\xfe" + SECRET.encode(), "is no text"),
    ],
)
def test_a_file_that_has_none_is_told_and_nothing_of_what_it_holds(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CredentialsError) as error:
        password_of(with_file(file))
    assert f"mqtt.password_file: {file}" in str(error.value)
    assert words in str(error.value)
    assert SECRET not in str(error.value)
    # Nor would a traceback show it. (Another test's exception may be the context here: pytest holds some for long.)
    assert error.value.__suppress_context__ or SECRET not in repr(error.value.__context__)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="is no file"):
        password_of(with_file(tmp_path))


def test_a_first_line_that_is_too_long_is_told(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x" * 5000)
    with pytest.raises(CredentialsError):
        password_of(with_file(file))


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    pipe = tmp_path / "password"
    os.mkfifo(pipe)

    def read() -> None:
        with pytest.raises(CredentialsError):
            password_of(with_file(pipe))

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(2)
    held_up = reader.is_alive()
    if held_up:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        reader.join(10)
    assert not held_up


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"password": SECRET}, "without a user name"),
        ({"password_file": "/run/secrets/mqtt"}, "without a user name"),
        ({"username": "porch", "password": SECRET, "password_file": "/run/secrets/mqtt"}, "set beside mqtt.password"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as error:
        Mqtt.model_validate(settings)
    assert SECRET not in str(error.value)


def test_the_settings_text_does_not_show_it() -> None:
    assert SECRET not in repr(Mqtt.model_validate({"username": "porch", "password": SECRET}))


@pytest.mark.real
def test_a_files_password_lets_us_in(tmp_path: Path) -> None:
    async def script(one: Visit) -> None:
        await one.connected()

    broker = locked(tmp_path, free_port())
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    try:
        visit(script, broker.port, username="porch", password_file=str(file))
    finally:
        broker.stop()


@pytest.mark.real
def test_a_file_that_comes_later_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a secret that is mounted late."""

    async def script(one: Visit) -> None:
        await one.told("mqtt.password_file", "No such file or directory")
        file.write_text(f"{SECRET}\n")
        await one.connected()

    broker = locked(tmp_path, free_port())
    file = tmp_path / "password"
    try:
        visit(script, broker.port, username="porch", password_file=str(file))
    finally:
        broker.stop()
    assert str(file) in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.real
@pytest.mark.parametrize(
    "protocol",
    ["auto", "5", "3.1.1"],
)
def test_a_password_that_is_put_right_in_its_file_lets_us_in(tmp_path: Path, protocol: str) -> None:
    async def script(one: Visit) -> None:
        await until_refused(one)
        file.write_text(f"{SECRET}\n")
        await one.connected()

    broker = locked(tmp_path, free_port())
    file = tmp_path / "password"
    file.write_text("wrong-password\n")
    try:
        visit(script, broker.port, username="porch", password_file=str(file), protocol=protocol)
    finally:
        broker.stop()


@pytest.mark.real
@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_wrong_password_is_told_in_the_log_and_not_shown(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = locked(tmp_path, free_port())
    try:
        visit(until_refused, broker.port, username="porch", password="the-wrong-one", protocol=protocol)
    finally:
        broker.stop()
    assert "refuses us" in caplog.text
    assert "the-wrong-one" not in caplog.text


async def until_refused(one: Visit) -> None:
    await one.told("refuses us: ")


def locked(folder: Path, port: int) -> Broker:
    """A broker that lets the porch in by its password, and nobody else."""
    one = Broker(folder, port, user="porch", password=SECRET)
    one.start()
    return one
