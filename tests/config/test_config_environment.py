"""PORCHLIGHT_ variables: they win over the file, and none is ignored in silence."""

from pathlib import Path

import pytest

from appliance.config import ConfigError, FileSource, Settings, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        "mqtt:\n  host: file\n  port: 1\ncameras:\n  - id: a\n    source: file:///dev/null/none\n    standby_fps: 1\n"
    )
    return path


def complaint(environ: dict[str, str], file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    [problem] = caught.value.problems
    return str(problem)


def test_the_environment_wins_over_the_file(file: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    environ = {"PORCHLIGHT_MQTT__HOST": "env", "PORCHLIGHT_CAMERAS__0__SOURCE": f"file://{clip}"}
    settings = load(file, environ, require_model=False)
    assert (settings.mqtt.host, settings.mqtt.port) == ("env", 1)
    assert settings.cameras[0].parsed == FileSource(clip)
    assert settings.cameras[0].standby_fps == 1


def test_a_camera_can_come_from_the_environment_alone(tmp_path: Path) -> None:
    environ = {}
    for place in range(11):
        environ[f"PORCHLIGHT_CAMERAS__{place}__ID"] = f"camera_{place}"
        environ[f"PORCHLIGHT_CAMERAS__{place}__SOURCE"] = f"file://{tmp_path / 'clip.mp4'}"
    (tmp_path / "clip.mp4").touch()
    cameras = load(None, environ, require_model=False).cameras
    assert [camera.id for camera in cameras] == [f"camera_{place}" for place in range(11)]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("0123", "0123"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("a #b", "a #b"),
        ("a: b", "a: b"),
        ("*a", "*a"),
        ("[a", "[a"),
        ("'quoted'", "quoted"),
        ('"quoted"', "quoted"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_text_counts_letter_for_letter(raw: str, value: str) -> None:
    environ = {"PORCHLIGHT_MQTT__USERNAME": raw, "PORCHLIGHT_MQTT__PASSWORD": raw}
    mqtt = load(None, environ).mqtt
    assert mqtt.username == value
    assert mqtt.password is not None
    assert mqtt.password.get_secret_value() == value


@pytest.mark.parametrize("raw", ["", "null", "~"])
def test_an_empty_variable_means_not_set(raw: str) -> None:
    environ = {
        "PORCHLIGHT_MQTT__USERNAME": raw,
        "PORCHLIGHT_MQTT__PASSWORD": raw,
        "PORCHLIGHT_STATE_DIR": raw,
    }
    assert load(None, environ) == Settings()


def test_what_is_no_text_reads_as_yaml() -> None:
    settings = load(
        None,
        {
            "PORCHLIGHT_MQTT__ENABLED": "no",
            "PORCHLIGHT_MQTT__PORT": "2000",
            "PORCHLIGHT_MODEL__THREADS": "auto",
            "PORCHLIGHT_MODEL__THRESHOLD": "0.7",
            "PORCHLIGHT_TELEMETRY__LOG_LEVEL": "debug",
        },
    )
    assert (settings.mqtt.enabled, settings.mqtt.port) == (False, 2000)
    assert (settings.model.threads, settings.model.threshold) == ("auto", 0.7)
    assert settings.telemetry.log_level == "debug"


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("PORCHLIGHT_MQTT_HOST", "a", 'is no setting of Porchlight; did you mean "PORCHLIGHT_MQTT__HOST"?'),
        ("PORCHLIGHT_mqtt__host", "a", 'is no setting of Porchlight; did you mean "PORCHLIGHT_MQTT__HOST"?'),
        (
            "PORCHLIGHT_CAMERAS__3__SORCE",
            "a",
            'is no setting of Porchlight; did you mean "PORCHLIGHT_CAMERAS__3__SOURCE"?',
        ),
        ("PORCHLIGHT_", "a", "is no setting of Porchlight; names look like PORCHLIGHT_MQTT__HOST"),
        ("PORCHLIGHT_XYZ", "a", "is no setting of Porchlight; names look like PORCHLIGHT_MQTT__HOST"),
        (
            "PORCHLIGHT_MQTT",
            "{}",
            "names a whole group of settings; set them one by one, as PORCHLIGHT_MQTT__ENABLED",
        ),
        (
            "PORCHLIGHT_CAMERAS__123",
            "{}",
            "names a whole group of settings; set them one by one, as PORCHLIGHT_CAMERAS__123__ID",
        ),
        ("PORCHLIGHT_CAMERAS__1__ID", "a", "leaves a gap between the cameras; the next one is number 0"),
        ("PORCHLIGHT_MQTT__PORT", "0", "mqtt.port: is 0; write a whole number from 1 to 65535"),
        (
            "PORCHLIGHT_GATEWAY__TOKEN",
            "hunter2",
            "gateway.token: is too short; write text of 16 to 256 characters",
        ),
        (
            "PORCHLIGHT_GATEWAY_PORT",
            "80",
            'is no setting of Porchlight; did you mean "PORCHLIGHT_GATEWAY__PORT"?',
        ),
        (
            "PORCHLIGHT_GATEWAY__PORT",
            "tcp://10.0.0.1:80",
            'gateway.port: is the text "tcp://10.0.0.1:80"; write a whole number from 0 to 65535',
        ),
    ],
)
def test_a_variable_that_cannot_be_taken_is_named(name: str, raw: str, said: str) -> None:
    assert complaint({name: raw}) == f"{name}: {said}"


def test_a_gap_is_told_after_the_cameras_of_the_file(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"PORCHLIGHT_CAMERAS__2__ID: leaves a gap .* number 1"):
        load(file, {"PORCHLIGHT_CAMERAS__2__ID": "c"})


def test_what_a_camera_of_the_environment_lacks_is_told_by_its_variable(tmp_path: Path) -> None:
    assert complaint({"PORCHLIGHT_CAMERAS__0__ID": "a", "PORCHLIGHT_MODEL__PATH": __file__}) == (
        'PORCHLIGHT_CAMERAS__0__ID: cameras.0.source: is missing; add "source: ...", a URL such as file:///clip.mp4'
    )


def test_a_bad_file_and_a_bad_variable_are_told_together(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mqtt: [\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {"PORCHLIGHT_FOO": "x"})
    assert [str(problem.origin) for problem in caught.value.problems] == ["PORCHLIGHT_FOO", f"{file}:2"]


def test_a_variable_mends_a_bad_value_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mqtt:\n  port: many\n")
    assert load(file, {"PORCHLIGHT_MQTT__PORT": "1884"}).mqtt.port == 1884


@pytest.mark.parametrize("text", ["mqtt: 5\n", "cameras: 5\n", "cameras: {a: 1}\n", "cameras: [5]\n"])
def test_a_variable_below_something_else_leaves_the_files_own_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    environ = {"PORCHLIGHT_MQTT__HOST": "a", "PORCHLIGHT_CAMERAS__0__SOURCE": f"file:{__file__}"}
    with pytest.raises(ConfigError) as caught:
        load(file, environ, require_model=False)
    assert f"{file}:1" in [str(problem.origin) for problem in caught.value.problems]


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {"PATH": "/bin", "PORCHLIGHT_LOG": "x", "PORCHLIGHT_CONFIG": "/a", "porchlight_x": "y"}
    assert load(None, environ) == Settings()


def test_what_kubernetes_adds_for_a_service_called_porchlight_is_no_mistake() -> None:
    for service in ("PORCHLIGHT", "PORCHLIGHT_GATEWAY"):
        environ = {
            f"{service}_SERVICE_HOST": "10.43.0.9",
            f"{service}_SERVICE_PORT": "8099",
            f"{service}_SERVICE_PORT_HTTP": "8099",
            f"{service}_PORT": "tcp://10.43.0.9:8099",
            f"{service}_PORT_8099_TCP": "tcp://10.43.0.9:8099",
            f"{service}_PORT_8099_TCP_PROTO": "tcp",
            f"{service}_PORT_8099_TCP_PORT": "8099",
            f"{service}_PORT_8099_TCP_ADDR": "10.43.0.9",
        }
        assert load(None, environ) == Settings()
