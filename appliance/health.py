"""Is it well? For HEALTHCHECK and a pod's probes: asked often, so it reads heartbeats alone, and imports little."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.ipc.run_folder import SHARED_MEMORY, RunFolder
from appliance.messages import Health

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from appliance.messages import Heartbeat, SourceHealth

STAGES = ("capture", "inference", "controller", "gateway")
_PREFIX = "porchlight-"


def main() -> int:
    """Be the command `porchlight-health`: `porchlight health`, and no more of Porchlight than that takes."""
    parser = argparse.ArgumentParser(prog="porchlight-health", description="Is the appliance, or one stage, well?")
    add_arguments(parser)
    options = parser.parse_args()
    return tell(options.stage, options.instance)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words that `tell` is given."""
    parser.add_argument("stage", nargs="?", choices=STAGES, help="only this one: is it running?")
    parser.add_argument("--instance", default=os.environ.get("PORCHLIGHT_INSTANCE"), help="where several run")


def tell(stage: str | None, instance: str | None) -> int:
    """Say what is wrong. Return 0 where nothing is, else 1."""
    folder = find(instance)
    wrong = ["nothing runs here"] if folder is None else troubles(fresh_heartbeats(folder), stage)
    for each in wrong:
        print(each)
    return 1 if wrong else 0


def find(instance: str | None, shared_memory: Path = SHARED_MEMORY) -> RunFolder | None:
    """Return the run folder of the instance, or of the only one that is there."""
    if instance:
        folder = RunFolder(instance, shared_memory)
        return folder if folder.path.is_dir() else None
    found = [path for path in shared_memory.glob(f"{_PREFIX}*") if path.is_dir()]
    return RunFolder(found[0].name.removeprefix(_PREFIX), shared_memory) if len(found) == 1 else None


def troubles(beats: Mapping[str, Heartbeat], stage: str | None = None) -> list[str]:
    """Return what is wrong with one stage, or with all of them and with the way of the pictures through them.

    A camera that gives no pictures is shown in Home Assistant and is no fault of this appliance; pictures that are
    given and not looked at are.
    """
    wrong = [f"{name} is not running" for name in ((stage,) if stage else STAGES) if not _runs(beats, name)]
    if wrong or stage:
        return wrong
    seen = {source.camera: source for source in beats["controller"].sources}
    for name, beat in beats.items():
        if name.startswith("capture."):
            wrong += [
                f"{source.camera}: its pictures are not looked at: {_why(seen, source.camera)}"
                for source in beat.sources
                if source.health is Health.RUNNING and not _is_seen(seen, source.camera)
            ]
    return wrong


def _runs(beats: Mapping[str, Heartbeat], name: str) -> bool:
    return name in beats and beats[name].health in (Health.RUNNING, Health.DEGRADED)


def _is_seen(seen: Mapping[str, SourceHealth], camera: str) -> bool:
    return camera in seen and seen[camera].health is Health.RUNNING


def _why(seen: Mapping[str, SourceHealth], camera: str) -> str:
    return seen[camera].reason if camera in seen else "nobody knows it"


if __name__ == "__main__":
    sys.exit(main())
