"""What load says of a file: everything that is wrong, each with its line, and with what would be right."""

from pathlib import Path

import pytest

from appliance.config import ConfigError, Settings, load
from appliance.inference.backends import BACKENDS

GOOD = "0123456789abcdef"
TELEMETRY = "log_level, log_format, otlp_endpoint, otlp_protocol, otlp_headers, otlp_ca_file, trace_share, trace_url"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"clip")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def complaints(file: Path, text: str | bytes, *, require_model: bool = False) -> list[str]:
    """Load `text` and return what is said against it, without the folder in front of the file's name."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, {}, require_model=require_model)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).removeprefix(f"{file.parent}/") for problem in caught.value.problems]


def accepted(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load(file, {}, require_model=False)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "mqtt:\n", "cameras:\n", "{}", "\ufeffmqtt:\n"])
def test_what_is_not_written_has_its_default(file: Path, text: str) -> None:
    assert accepted(file, text) == Settings()


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mqtt:\n  port: 70000\n", "2: mqtt.port: is 70000; write a whole number from 1 to 65535"),
        ("mqtt:\n  port: true\n", "2: mqtt.port: is true; write a whole number from 1 to 65535"),
        ("mqtt:\n  port: '1883'\n", '2: mqtt.port: is the text "1883"; write a whole number from 1 to 65535'),
        ("mqtt:\n  port: 1.5\n", "2: mqtt.port: is 1.5; write a whole number from 1 to 65535"),
        ("mqtt:\n  port: [1]\n", "2: mqtt.port: is a list; write a whole number from 1 to 65535"),
        (
            "mqtt:\n  port:\n",
            "2: mqtt.port: is empty; write a whole number from 1 to 65535, or leave the line out",
        ),
        ("mqtt:\n  enabled: 1\n", "2: mqtt.enabled: is 1; write true or false"),
        ("model:\n  threshold: .nan\n", "2: model.threshold: is nan; write a number from 0.05 to 0.99"),
        ("model:\n  threads: 0\n", "2: model.threads: is 0; write a whole number from 1 to 64 or auto"),
        ("model:\n  backend: cuda\n", f'2: model.backend: is the text "cuda"; write auto or {" or ".join(BACKENDS)}'),
        (
            "instance: Porch\n",
            '1: instance: is the text "Porch"; write 1 to 32 of a-z, 0-9 and _, such as front_door',
        ),
        (
            "mqtt:\n  host: mqtt://broker\n",
            (
                '2: mqtt.host: is the text "mqtt://broker"; '
                "write a host name or an address alone, without mqtt:// or http://"
            ),
        ),
        (
            "mqtt:\n  birth_topic: ha/#\n",
            ('2: mqtt.birth_topic: is the text "ha/#"; write words of a-z, A-Z, 0-9, _ and - with / between them'),
        ),
        (
            "mqtt:\n  username: 5\n",
            "2: mqtt.username: is 5; put it in quotes; it must be text of 1 to 256 characters",
        ),
        (
            "cameras: 3\n",
            '1: cameras: is 3; write a list of at most 24 cameras, each starting with "- id: ..."',
        ),
        (
            "telemetry: loud\n",
            f'1: telemetry: is the text "loud"; write "name: value" lines below it, indented; known are {TELEMETRY}',
        ),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_line_and_its_range(file: Path, text: str, said: str) -> None:
    assert complaints(file, text) == [f"config.yaml:{said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mqtt:\n  hots: a\n", '2: mqtt.hots: is no setting of Porchlight; did you mean "host"?'),
        ("mqt:\n  host: a\n", '1: mqt: is no setting of Porchlight; did you mean "mqtt"?'),
        (
            "mqtt:\nusername: a\n",
            '2: username: is no setting of Porchlight; "username" belongs below "mqtt:", indented',
        ),
        (
            "\nmqtt.host: a\n",
            '2: mqtt.host: is no setting of Porchlight; "host" belongs below "mqtt:", indented',
        ),
        (
            "host: a\n",
            '1: host: is no setting of Porchlight; "host" belongs below "mqtt:" or "gateway:", indented',
        ),
        ("telemetry:\n  x: 1\n", f"2: telemetry.x: is no setting of Porchlight; known here are {TELEMETRY}"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(file: Path, text: str, said: str) -> None:
    assert complaints(file, text) == [f"config.yaml:{said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mqtt:\n\thost: a\n", ":2: has a tab where only spaces may stand; indent with two spaces"),
        ("mqtt:\n  host: a: b\n", ':2: has a ":" too many; check the indentation, and put text in quotes'),
        (
            "mqtt:\n  host: @a\n",
            ":2: has a value that starts with a special character; put the value in quotes",
        ),
        ("a: 1\nmqtt\n", ':2: has a line without ":"; write "name: value"'),
        ("instance: 'a\nmqtt:\n", ":1: has a quote that is never closed; close it"),
        ("a: 1\n---\nb: 2\n", ":2: has a second document after ---; keep one"),
        ("a: *b\n", ":1: has a value that starts with *; put the value in quotes"),
        ("- mqtt\n", ':1: is no group of settings; write lines of "name: value"'),
        ("hello\n", ':1: is no group of settings; write lines of "name: value"'),
        (
            "\nmqtt: [\nhost: a\n",
            ":2: cannot be read as YAML from here on; check the indentation, the quotes and the brackets",
        ),
        ("\na: \x07\n", ":2: has a character that YAML does not allow; remove it"),
        ('\na: "\\UFFFFFFFF"\n', ":2: has an escape that names no character; use single quotes"),
        (b"a: 1\nb: \xff\n", ":2: is not UTF-8 text; save it as UTF-8"),
        ("[" * 5000, ": nests too deeply, or repeats aliases too often; write it out more simply"),
        ("a: &a [*a]\n", ": nests too deeply, or repeats aliases too often; write it out more simply"),
    ],
)
def test_what_is_no_yaml_is_told_in_plain_words(file: Path, text: str | bytes, said: str) -> None:
    assert complaints(file, text) == [f"config.yaml{said}"]


def test_a_few_lines_of_aliases_cannot_fill_the_memory(file: Path) -> None:
    text = "a: &a [1]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
    )
    assert complaints(file, text)[0].startswith("config.yaml: nests too deeply")


def test_a_name_that_is_there_twice_is_refused_with_both_lines(file: Path) -> None:
    assert complaints(file, "mqtt:\n  host: a\n  port: 1\n  host: b\n") == [
        "config.yaml:4: mqtt.host: is there more than once, on lines 2 and 4; keep one of them"
    ]


def test_aliases_and_merged_groups_are_understood(file: Path, clip: Path) -> None:
    one = f"  - &one\n    id: one\n    source: file://{clip}\n    area: Yard\n"
    text = f"cameras:\n{one}  - <<: *one\n    id: two\n"
    first, second = accepted(file, text).cameras
    assert (first.id, second.id, second.area, second.source) == ("one", "two", "Yard", first.source)


def test_home_assistants_secrets_are_answered_with_the_environment_variable(file: Path) -> None:
    assert complaints(file, "mqtt:\n  username: a\n  password: !secret mqtt\n") == [
        (
            "config.yaml:3: mqtt.password: uses !secret, which only Home Assistant itself knows; "
            "set the environment variable PORCHLIGHT_MQTT__PASSWORD instead"
        )
    ]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"):
        load(tmp_path / "nowhere.yaml", {})


def test_all_problems_are_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = (
        "cameras:\n"
        "  - id: alarm\n"
        "    source: file:///nowhere.mp4\n"
        "  - id: yard\n"
        "    source: rtsp://me:hunter2@camera:rear\n"
        "    standby_fps: 0\n"
        "  - id: yard\n"
        "mqtt:\n"
        "  password: hunter2\n"
        "  prot: 1883\n"
        "gateway:\n"
        "  host: 0.0.0.0\n"
        "  port: -1\n"
    )
    assert complaints(file, text, require_model=True) == [
        (
            "config.yaml: model.path: is not set, but there is a camera to watch; "
            "write the path of an RF-DETR model, an .onnx file"
        ),
        'config.yaml:2: cameras.0.id: "alarm" is the name of an MQTT topic of Porchlight; choose another id',
        'config.yaml:3: cameras.0.source: the file "/nowhere.mp4" does not exist; check the path after file://',
        (
            "config.yaml:5: cameras.1.source: has no host and port that can be read; "
            "write rtsp://user:password@host/path; in a user name or a password write "
            "%2F for /, %3F for ?, %23 for #, %40 for @, %3A for :, %25 for %"
        ),
        "config.yaml:6: cameras.1.standby_fps: is 0; write a number from 0.2 to 30",
        'config.yaml:7: cameras.2.source: is missing; add "source: ...", a URL such as file:///clip.mp4',
        'config.yaml:7: cameras.2.id: "yard" is the id of an earlier camera too; give every camera its own',
        "config.yaml:9: mqtt.password: is set without a user name; set mqtt.username too",
        'config.yaml:10: mqtt.prot: is no setting of Porchlight; did you mean "port"?',
        (
            'config.yaml:12: gateway.host: "0.0.0.0" can be reached from other machines, '
            "and no token guards it; set gateway.token (16 characters or more), or write 127.0.0.1"
        ),
        "config.yaml:13: gateway.port: is -1; write a whole number from 0 to 65535",
    ]


def test_the_camera_after_the_24th_is_refused(file: Path, clip: Path) -> None:
    text = "cameras:\n" + "".join(f"  - id: c{i}\n    source: file://{clip}\n" for i in range(25))
    assert complaints(file, text) == [
        ('config.yaml:1: cameras: is a list of 25; write a list of at most 24 cameras, each starting with "- id: ..."')
    ]


@pytest.mark.parametrize("name", ["nowhere.onnx", "", "."])
def test_where_there_is_a_camera_the_model_must_be_there(file: Path, clip: Path, name: str) -> None:
    text = f"model:\n  path: {clip.parent / name}\ncameras:\n  - id: a\n    source: file://{clip}\n"
    assert len(accepted(file, text).cameras) == 1
    [said] = complaints(file, text, require_model=True)
    assert said.startswith("config.yaml:2: model.path: the file ")


def test_without_a_camera_no_model_is_needed(file: Path) -> None:
    file.write_text("model:\n  path: /nowhere.onnx\n")
    assert load(file, {}).model.path == Path("/nowhere.onnx")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "'::1'"])
def test_a_gateway_on_loopback_needs_no_token(file: Path, host: str) -> None:
    assert accepted(file, f"gateway:\n  host: {host}\n").gateway.token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "192.168.1.5", "porch.local"])
def test_a_gateway_on_anything_else_needs_a_token(file: Path, host: str) -> None:
    assert "no token guards it; set gateway.token" in complaints(file, f"gateway:\n  host: {host}\n")[0]
    settings = accepted(file, f"gateway:\n  host: {host}\n  token: {GOOD}\n")
    assert settings.gateway.token is not None
    assert settings.gateway.token.get_secret_value() == GOOD


@pytest.mark.parametrize(
    "line",
    [
        "password: [hunter2]",
        "password: {hunter2, hunter2}",
        "password: {hunter2: !x hunter2}",
        "password: *hunter2",
        "password: !hunter2 a",
        "password: hunter2: a",
        "password: '" + "hunter2" * 99 + "'",
        'password: "\\ud800hunter2"',
        "host: mqtt://me:hunter2@broker",
        "pasword: hunter2",
    ],
)
def test_a_secret_is_never_repeated(file: Path, line: str) -> None:
    assert "hunter2" not in "\n".join(complaints(file, f"mqtt:\n  username: a\n  {line}\n"))


def test_a_token_that_is_too_short_is_refused_but_not_shown(file: Path) -> None:
    assert complaints(file, "gateway:\n  token: hunter2\n") == [
        "config.yaml:2: gateway.token: is too short; write text of 16 to 256 characters"
    ]


def test_a_name_cannot_break_the_line_of_its_problem(file: Path) -> None:
    [said] = complaints(file, '"a\\nb\\e": 1\n')
    assert said.startswith("config.yaml:1: a\\nb\\x1b: is no setting")


@pytest.mark.parametrize("text", ['"a\\tb"', '"a\\0"', '"\\ud800"', "|\n    a\n"])
@pytest.mark.parametrize("name", ["username", "birth_payload"])
def test_control_characters_and_halves_of_characters_are_refused(file: Path, name: str, text: str) -> None:
    [said] = complaints(file, f"mqtt:\n  {name}: {text}\n")
    assert said.startswith(f"config.yaml:2: mqtt.{name}: has a character that cannot be used; write ")


def test_letters_of_every_language_are_welcome(file: Path) -> None:
    mqtt = accepted(file, "mqtt:\n  username: Jürgen 👩‍🚒 名前\n  password: schlüssel\n").mqtt
    assert mqtt.username == "Jürgen 👩‍🚒 名前"
