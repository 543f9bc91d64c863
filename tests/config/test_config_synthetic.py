"""synthetic://porch and its options: what each may be, and what is said of one that it may not."""

from __future__ import annotations

import pytest

from appliance.config import Camera, SyntheticSettings, parse_source
from appliance.config.problem import BadSettingError


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("synthetic://porch", SyntheticSettings()),
        ("SYNTHETIC:porch", SyntheticSettings()),
        ("synthetic://porch/?seed=0", SyntheticSettings(seed=0)),
        ("synthetic://porch?seed=4294967295", SyntheticSettings(seed=4_294_967_295)),
        ("synthetic://porch?size=160x90", SyntheticSettings(width=160, height=90)),
        ("synthetic://porch?size=1920x1080", SyntheticSettings(width=1920, height=1080)),
        ("synthetic://porch?fps=1", SyntheticSettings(fps=1)),
        ("synthetic://porch?fps=29.97", SyntheticSettings(fps=29.97)),
        ("synthetic://porch?hour=0&people_per_minute=0", SyntheticSettings(hour=0, people_per_minute=0)),
        ("synthetic://porch?hour=24&people_per_minute=20", SyntheticSettings(hour=24, people_per_minute=20)),
        ("synthetic://porch?rain=true", SyntheticSettings(rain=True)),
        ("synthetic://porch?rain=false&timestamps=true", SyntheticSettings(rain=False, timestamps=True)),
        (
            "synthetic:porch?seed=7&size=1280x720&fps=15&hour=18.5&people_per_minute=2&rain=true&timestamps=true&rate=lockstep",
            SyntheticSettings(7, 1280, 720, 15, 18.5, 2, rain=True, timestamps=True, rate="lockstep"),
        ),
    ],
)
def test_a_synthetic_url_names_a_scene_and_how_it_is_seen(url: str, settings: SyntheticSettings) -> None:
    assert parse_source(url) == settings
    assert Camera(id="a", source=url).parsed == settings


OPTIONS = "seed, size, fps, hour, people_per_minute, rain, timestamps and rate"
NUMBERS = {
    "seed": "a whole number from 0 to 4294967295, such as seed=1",
    "fps": "a number from 1 to 60, such as fps=15",
    "hour": "a number from 0 to 24, such as hour=15",
    "people_per_minute": "a number from 0 to 20, such as people_per_minute=2",
}
WRONG_NUMBERS = {
    "seed": ["-1", "4294967296", "1.0", "one", ""],
    "fps": ["0", "0.9", "60.1", "nan", "1e1", "+5", "²", ""],
    "hour": ["-1", "24.01", "18:30", "inf", "1_0"],
    "people_per_minute": ["20.5", "-0", "many", " 2", "9999999999999999"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, wrong in WRONG_NUMBERS.items() for value in wrong])
def test_a_number_that_does_not_fit_is_refused_by_name_with_what_would_be_right(name: str, value: str) -> None:
    assert refusal(f"synthetic://porch?{name}={value}") == f'has {name}="{value}"; write {NUMBERS[name]}'


@pytest.mark.parametrize(
    "size",
    ["", "640", "640x", "640x361", "641x360", "158x90", "160x88", "1922x1080", "1920x1082", "640X360", "-640x360"],
)
def test_a_size_that_does_not_fit_is_refused_with_what_would_be_right(size: str) -> None:
    assert refusal(f"synthetic://porch?size={size}") == (
        f'has size="{size}"; write width x height, even numbers from 160x90 to 1920x1080, such as size=1280x720'
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("synthetic:", "names no scene; write synthetic://porch"),
        ("synthetic://", "names no scene; write synthetic://porch"),
        ("synthetic://garden", "names no scene; write synthetic://porch"),
        ("synthetic://porch?rain=maybe", 'has rain="maybe"; write rain=true or rain=false'),
        ("synthetic://porch?timestamps=1", 'has timestamps="1"; write timestamps=true or timestamps=false'),
        ("synthetic://porch?rate=fast", 'has rate="fast"; write rate=realtime or rate=lockstep'),
        ("synthetic://porch?seed=1&seed=1", 'has the option "seed" twice; keep one of them'),
        ("synthetic://porch?loop=true", f'has an unknown option "loop"; synthetic:// knows {OPTIONS}'),
    ],
)
def test_a_scene_that_cannot_be_played_is_refused(url: str, said: str) -> None:
    assert refusal(url) == said


def refusal(url: str) -> str:
    with pytest.raises(BadSettingError) as caught:
        parse_source(url)
    return str(caught.value)
