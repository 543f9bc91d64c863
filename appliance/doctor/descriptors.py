"""May a process have as many file descriptors as the busiest stage needs."""

from __future__ import annotations

import resource

from appliance import needs
from appliance.doctor.finding import Finding, ok, several, warning

SUBJECT = "file descriptors"


def examine(cameras: int) -> Finding:
    """Hold RLIMIT_NOFILE against an estimate: counted per camera, guessed for the rest (see `needs.descriptors`)."""
    stage, needed = needs.descriptors(cameras)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    allowed = "any number" if limit == resource.RLIM_INFINITY else f"{limit:,}"
    text = f"a process may have {allowed}; for {several(cameras, 'camera')}, {stage} needs about {needed}"
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return ok(SUBJECT, text)
    remedy = f"ulimit -n {needed} (a container: --ulimit nofile={needed}; systemd: LimitNOFILE={needed})"
    return warning(SUBJECT, text, remedy)
