"""Whoever may write to the broker may write anything: it is understood, or refused with what would be right."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.controller.alarm.words import Command
from appliance.controller.commands import (
    LARGEST,
    AlarmCommand,
    Asked,
    ChangeSetting,
    CommandRefusedError,
    Restart,
    in_words,
    parse,
)
from appliance.controller.overlay import RANGES, Setting, Value, allowed
from appliance.controller.topics import Topics

TOPICS = Topics("home")
CAMERAS = ("front_door", "garden")
ALARM, RESTART = TOPICS.alarm_set, TOPICS.restart_set
PIN = "90210"


def setting(name: str, camera: str = "garden") -> str:
    return TOPICS.setting_set(camera, name)


def ask(topic: str, payload: str | bytes, *, retain: bool = False) -> Asked:
    return parse(topic, payload.encode() if isinstance(payload, str) else payload, retain, TOPICS, CAMERAS)


def refusal(topic: str, payload: str | bytes, *, retain: bool = False) -> str:
    with pytest.raises(CommandRefusedError) as refused:
        ask(topic, payload, retain=retain)
    return str(refused.value)


class TestAlarm:
    @pytest.mark.parametrize("command", Command)
    def test_home_assistants_json_is_understood(self, command: Command) -> None:
        assert ask(ALARM, f'{{"action":"{command}","code":"{PIN}"}}') == AlarmCommand(command, PIN)
        assert ask(ALARM, f'{{"action":"{command}","code":null}}') == AlarmCommand(command, None)

    @pytest.mark.parametrize("text", ["ARM_AWAY", "arm_away", "Arm_Away\n", ' {"action": "arm_away"}\r\n'])
    def test_so_is_what_somebody_writes_by_hand(self, text: str) -> None:
        assert ask(ALARM, text) == AlarmCommand(Command.ARM_AWAY, None)

    def test_an_empty_code_is_none_and_leading_zeros_stay(self) -> None:
        assert ask(ALARM, '{"action":"DISARM","code":""}') == AlarmCommand(Command.DISARM, None)
        assert ask(ALARM, '{"action":"DISARM","code":"0042"}') == AlarmCommand(Command.DISARM, "0042")

    def test_a_code_that_is_a_number_is_refused_since_its_leading_zeros_are_lost(self) -> None:
        for number in (PIN, f"{PIN}.0", f"-{PIN}", "1e9"):
            text = refusal(ALARM, f'{{"action":"DISARM","code":{number}}}')
            assert "no leading zeros" in text
            assert "in quotes" in text
            assert PIN not in text

    def test_the_code_is_not_shown_where_a_command_is(self) -> None:
        assert PIN not in repr(ask(ALARM, f'{{"action":"DISARM","code":"{PIN}"}}'))

    @pytest.mark.parametrize(
        ("payload", "right"),
        [
            ('{"action":"DISARM"', "is no JSON"),
            ("{'action':'DISARM'}", "is no JSON"),
            ('{"action":"DISARM"}{"action":"DISARM"}', "is no JSON"),
            ('{"action":' + "[" * 900, "is no JSON"),
            ('{"action":' + "[" * 450 + "]" * 450 + "}", "is no word"),
            ('{"a":' * 150 + "1" + "}" * 150, "not understood"),
            ('{"action":"ARM_HOME","action":"DISARM"}', "stands twice"),
            ('{"action":"DISARM","code":"1","code":"2"}', "stands twice"),
            ('{"action":"DISARM","pin":"90210"}', "one key is not understood"),
            ('{"code":"90210"}', "no action"),
            ('{"action":null}', "is no word"),
            ('{"action":["DISARM"]}', "is no word"),
            ('{"action":"90210"}', "is no word"),
            ('{"action":"ARM_VACATION"}', "no action 'ARM_VACATION'"),
            ('{"action":"DISARM","code":NaN}', "no JSON"),
            ('{"action":"DISARM","code":-Infinity}', "no JSON"),
            ('{"action":"DISARM","code":true}', "no text"),
            ('{"action":"DISARM","code":["9","0"]}', "no text"),
            ("[]", "is no word"),
            ('"DISARM"', "is no word"),
            ("DISARM 90210", "is no word"),
            ("90210", "is no word"),
            ("d\u0131sarm", "is no word"),
            ("disarmed", "send one of ARM_HOME"),
            ("", "is empty"),
            (" \n", "is empty"),
            (b"\xff\xfeD", "no UTF-8"),
            ("\ufeffDISARM", "is no word"),
        ],
    )
    def test_what_is_no_command_is_refused_and_its_content_kept_quiet(self, payload: str | bytes, right: str) -> None:
        text = refusal(ALARM, payload)
        assert right in text
        assert PIN not in text

    @given(code=st.text("0123456789", min_size=4, max_size=32), how=st.sampled_from(
        ["%s", "DISARM %s", '{"code":"%s"}', '{"action":"%s"}', '{"action":"DISARM","code":%s}', '{"%s":"DISARM"}',
         '{"action":"DISARM","code":["%s"]}', '{"action":"DISARM","code":"%s"', '{"action":"DISARMED","code":"%s"}',
         '{"action":"DISARM","code":"%s","code":null}', '"%s"', "{%s}"],
    ))  # fmt: skip
    def test_a_refusal_never_repeats_a_code_wherever_it_was_put(self, code: str, how: str) -> None:
        assert code not in refusal(ALARM, how % code)


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "payload", "value"),
        [
            ("detection", "ON", True),
            ("detection", "off", False),
            ("live_view", "OFF\n", False),
            ("threshold", "5", 0.05),
            ("threshold", "29", 0.29),
            ("threshold", "57.5", 0.575),
            ("threshold", "99", 0.99),
            ("clear_seconds", "0", 0.0),
            ("clear_seconds", "-0", 0.0),
            ("clear_seconds", "+2.5", 2.5),
            ("clear_seconds", "3600", 3600.0),
        ],
    )
    def test_a_value_is_understood_in_its_own_unit(self, name: str, payload: str, value: Value) -> None:
        assert ask(setting(name), payload) == ChangeSetting("garden", Setting(name), value)

    @pytest.mark.parametrize(
        ("name", "payload", "right"),
        [
            ("detection", "1", "neither ON nor OFF"),
            ("detection", "o\ufb00", "neither ON nor OFF"),
            ("detection", "{}", "neither ON nor OFF"),
            ("threshold", "4.999", "out of range; send 5 to 99 percent"),
            ("threshold", "99.1", "out of range"),
            ("threshold", "0.5", "out of range; send 5 to 99 percent"),
            ("threshold", "9" * 999, "out of range"),
            ("threshold", "5" + "0" * 400 + ".5", "out of range"),
            ("threshold", "-50", "out of range"),
            ("threshold", "57,5", "'57,5' is no number"),
            ("threshold", "50 %", "'50 %' is no number"),
            ("threshold", "nan", "is no number"),
            ("threshold", "inf", "is no number"),
            ("threshold", "1_0", "is no number"),
            ("threshold", "5e1", "is no number"),
            ("threshold", "\u0665\u0660", "is no number"),
            ("threshold", "ON", "is no number"),
            ("threshold", "null", "is no number"),
            ("threshold", '{"value": 50}', "what was sent (13 characters) is no number"),
            ("threshold", "50\x00", "what was sent (3 characters) is no number"),
            ("clear_seconds", "3600.1", "out of range; send 0 to 3600 seconds"),
            ("clear_seconds", "-1", "out of range"),
            ("clear_seconds", "", "is empty"),
            ("clear_seconds", b"\x80", "no UTF-8"),
            ("volume", "3", "no setting 'volume'; use one of detection, live_view, threshold, clear_seconds"),
        ],
    )
    def test_what_it_cannot_be_is_refused_with_what_it_can(self, name: str, payload: str | bytes, right: str) -> None:
        assert right in refusal(setting(name), payload)

    def test_nothing_below_nothing_is_nothing(self) -> None:
        asked = ask(setting("clear_seconds"), "-0")
        assert isinstance(asked, ChangeSetting)
        assert str(asked.value) == "0.0"

    def test_a_camera_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        assert "no camera 'cellar'; the cameras are front_door, garden" in refusal(setting("threshold", "cellar"), "50")
        with pytest.raises(CommandRefusedError, match="there is none"):
            parse(setting("threshold"), b"50", False, TOPICS, ())

    @given(st.sampled_from(Setting), st.booleans(), st.floats(0, 1))
    def test_what_is_told_of_a_value_sets_it_again(self, which: Setting, switch: bool, share: float) -> None:
        least, most = RANGES.get(which, (0.0, 0.0))
        value: Value = min(least + share * (most - least), most) if which in RANGES else switch
        assert ask(setting(which), in_words(which, value)) == ChangeSetting("garden", which, value)


def test_a_value_is_told_as_a_person_would_write_it() -> None:
    words = {
        (Setting.THRESHOLD, 0.5): "50",
        (Setting.THRESHOLD, 0.29): "29",
        (Setting.THRESHOLD, 0.575): "57.5",
        (Setting.CLEAR_SECONDS, 3600.0): "3600",
        (Setting.CLEAR_SECONDS, 0.0): "0",
        (Setting.CLEAR_SECONDS, 2): "2",
        (Setting.DETECTION, True): "ON",
        (Setting.LIVE_VIEW, False): "OFF",
    }
    assert {case: in_words(*case) for case in words} == words


@pytest.mark.parametrize("payload", ["PRESS", "press\n"])
def test_the_button_restarts(payload: str) -> None:
    assert ask(RESTART, payload) == Restart()


@pytest.mark.parametrize("payload", ["", "ON", "1", '{"action":"PRESS"}', "pre\u00df"])
def test_nothing_else_does(payload: str) -> None:
    assert "PRESS" in refusal(RESTART, payload) or "is empty" in refusal(RESTART, payload)


@pytest.mark.parametrize(("topic", "payload"), [(ALARM, "ARM_AWAY"), (RESTART, "PRESS"), (setting("threshold"), "50")])
def test_what_is_retained_is_refused_though_it_would_be_understood(topic: str, payload: str) -> None:
    assert ask(topic, payload) is not None
    assert "without the retain flag" in refusal(topic, payload, retain=True)


def test_a_megabyte_is_refused_by_its_length_before_anybody_reads_it() -> None:
    class Unread(bytes):
        def decode(self, *_: object, **__: object) -> str:
            raise AssertionError("was read")

    with pytest.raises(CommandRefusedError, match="1,000,000 bytes") as refused:
        parse(ALARM, Unread(b"{" * 1_000_000), False, TOPICS, CAMERAS)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "topic",
    [
        "", "/", "porchlight/home", "porchlight/home/alarm", "porchlight/home/alarm/set/", "/porchlight/home/alarm/set",
        "porchlight/other/alarm/set", "PORCHLIGHT/home/alarm/set", "porchlight/home/garden/cfg/threshold",
        "porchlight/home/garden/cfg/threshold/set/set", "porchlight/home/a/b/cfg/threshold/set",
        "porchlight/home/garden/threshold/set", "porchlight/home/garden/event", "porchlight/home/\n/cfg",
    ],
)  # fmt: skip
def test_another_topic_takes_no_commands(topic: str) -> None:
    for payload in ("ARM_AWAY", "50", "PRESS"):
        text = refusal(topic, payload)
        assert "takes no commands" in text
        assert "\n" not in text


def test_what_is_subscribed_to_is_what_is_understood() -> None:
    assert TOPICS.commands == (ALARM, RESTART, "porchlight/home/+/cfg/+/set")


_topics = st.one_of(
    st.sampled_from([ALARM, RESTART, *(setting(name) for name in Setting), setting("volume"), TOPICS.status]),
    st.builds(TOPICS.setting_set, st.text(max_size=100), st.text(max_size=100)),
    st.text(),
)
_jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(Command),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["action", "code", "a"]), inner, max_size=3)
    ),
)
_payloads = st.one_of(
    st.binary(max_size=LARGEST + 10),
    st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
    st.from_regex(r"[+-]?[0-9]{0,400}(\.[0-9]{0,40})?([eE][0-9]{1,9})?", fullmatch=True).map(str.encode),
    _jsons.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"ON", b"off", b"PRESS", b"DISARM", b"50"]),
)


@given(_topics, _payloads, st.booleans())
@example(ALARM, b'{"action":"DISARM","code":"\\ud800"}', False)
@example("\ud800", b"DISARM", False)
def test_any_bytes_on_any_topic_are_understood_or_refused_and_nothing_else(
    topic: str, payload: bytes, retain: bool
) -> None:
    try:
        asked = parse(topic, payload, retain, TOPICS, CAMERAS)
    except CommandRefusedError as refused:
        text = str(refused)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 400
        return
    assert not retain
    match asked:
        case AlarmCommand():
            assert topic == ALARM
            assert asked.code is None or 0 < len(asked.code) <= LARGEST
        case Restart():
            assert topic == RESTART
        case ChangeSetting():
            assert topic == TOPICS.setting_set(asked.camera, asked.setting)
            assert asked.camera in CAMERAS
            assert allowed(asked.setting, asked.value)
