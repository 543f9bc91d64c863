"""The whole examination, in the order in which things must be well for the appliance to start."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from appliance import needs
from appliance.doctor import configuration, descriptors, instances, memory, orphans, queues, trial
from appliance.doctor.finding import Finding, several, warning
from appliance.doctor.sweep import sweep
from appliance.ipc.run_folder import SHARED_MEMORY, RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from appliance.config import Mqtt, Settings


def examine(
    config: Path, environ: Mapping[str, str], *, first_sweep: bool = False, shared_memory: Path = SHARED_MEMORY
) -> Iterator[Finding]:
    """Yield one finding after the other. Where the settings cannot be used, the rest is measured against one camera."""
    settings: Settings | None = None

    def read() -> list[Finding]:
        nonlocal settings
        settings, findings = configuration.read(config, environ)
        return findings

    yield from _try(configuration.SUBJECT, read)
    if settings is not None and settings.cameras:
        cameras, who = settings.cameras, several(len(settings.cameras), "camera")
        folder = RunFolder(settings.instance, shared_memory)
    else:
        fallback = configuration.yardstick()
        cameras, who = fallback.cameras, "one camera with default settings"
        folder = RunFolder(settings.instance if settings is not None else fallback.instance, shared_memory)
    needed = needs.queues(folder, cameras)
    names = [queue.name for queue in needed]
    if first_sweep:
        yield from _try("sweep", lambda: sweep(shared_memory, names))
    looks: dict[str, Callable[[], list[Finding]]] = {
        memory.SUBJECT: lambda: memory.examine(
            needs.shared_memory(cameras), who, instances.content(folder).held, shared_memory
        ),
        trial.SUBJECT: lambda: trial.examine(shared_memory),
        queues.SUBJECT: lambda: queues.examine(needed, who),
        descriptors.SUBJECT: lambda: [descriptors.examine(len(cameras))],
        instances.SUBJECT: lambda: instances.examine(shared_memory, settings.instance if settings else None),
        "leftover queues": lambda: orphans.examine(shared_memory, names),
    }
    if settings is not None and settings.cameras:
        looks["MQTT broker"] = functools.partial(_broker, settings.mqtt)
    for subject, look in looks.items():
        yield from _try(subject, look)


def _broker(settings: Mqtt) -> list[Finding]:
    # It loads MQTT's library, which nothing else here needs.
    from appliance.doctor import broker  # noqa: PLC0415

    return broker.examine(settings)


def _try(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """A machine can be ill in ways that nobody has thought of: what one look trips over must not hide the rest."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 -- reported as what it is
        text = f"could not be examined: {type(error).__name__}: {error}"
        return [warning(subject, text, "please report this as a fault of porchlight doctor")]
