"""From a file and the environment to checked settings, or to all that is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from appliance.config.document import read_document
from appliance.config.draft import Draft
from appliance.config.environment import overlay
from appliance.config.names import dotted
from appliance.config.outline import Found
from appliance.config.problem import ConfigError, Origin, Problem
from appliance.config.settings import Settings, repeated_id, repeats
from appliance.config.wording import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def load(path: Path | None, environ: Mapping[str, str], *, require_model: bool = True) -> Settings:
    """Return the settings of the file at `path`, if any, with the environment's laid over them.

    Every recording that a camera names must be there, and the model too where there is a camera, unless
    `require_model` is false. Raises ConfigError with all problems at once.
    """
    draft = Draft({}, {(): Origin("environment")}) if path is None else read_document(path)
    overlay(draft, environ)
    if draft.broken:
        raise ConfigError(draft.problems)
    settings = _check(draft, require_model=require_model)
    if settings is None or draft.problems:
        raise ConfigError(draft.problems)
    return settings


def _check(draft: Draft, *, require_model: bool) -> Settings | None:
    """Return the settings, or None after adding to the draft's problems."""
    _fill_empty_groups(draft.values)
    cameras = draft.values["cameras"]
    checks = {"files", "model"} if require_model and cameras else {"files"}
    try:
        return Settings.model_validate(draft.values, context=checks)
    except ValidationError as error:
        found = list(explain(error, draft))
    told = {problem.setting for problem in found}
    draft.problems += found
    draft.problems += [problem for problem in _repeated(cameras, draft) if problem.setting not in told]
    return None


def _fill_empty_groups(values: dict[str, Any]) -> None:
    """Have a group that is absent, or whose every line is a comment, mean its defaults."""
    root = Found()
    for name in Settings.model_fields:
        below = root.step(name)
        if below is not None and not below.is_value and values.get(name) is None:
            values[name] = {} if below.items is None else []


def _repeated(cameras: object, draft: Draft) -> Iterator[Problem]:
    """Ids that are there twice: pydantic compares them only where every camera is otherwise right."""
    if not isinstance(cameras, list):
        return
    ids = [camera.get("id") if isinstance(camera, dict) else None for camera in cameras]
    for place in repeats(ids):
        path = ("cameras", place, "id")
        cause = repeated_id(ids[place], place)
        yield Problem(draft.origin(path), dotted(path), cause.what, cause.hint)
