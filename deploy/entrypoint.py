#!/usr/bin/python3 -I
"""Starts Porchlight as its own user, whoever started the container.

Home Assistant starts an add-on's container as root, and its /data belongs to root. So for as long as it takes, and only
then, this gives what must be written to our user, and lets it into the groups of the cameras that are there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

USER = 10001
OURS = ("/data", "/var/lib/porchlight")
DEVICES = ("/dev/video*", "/dev/dri/*")
COMMAND = ("/usr/bin/tini", "--", "/opt/porchlight/bin/porchlight")
"""tini is the container's first process: it passes signals on, and buries what nobody waits for."""


def main() -> None:
    """Become USER, and then the command."""
    if os.getuid() == 0:
        for folder in OURS:
            give(Path(folder))
        groups = {path.stat().st_gid for pattern in DEVICES for path in Path("/").glob(pattern[1:])} - {0}
        try:
            os.setgroups(sorted(groups))
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
        except PermissionError:
            sys.exit(f"porchlight: without capabilities it cannot leave root: start the container with --user {USER}")
        os.environ["HOME"] = "/var/lib/porchlight"
    os.execv(COMMAND[0], [*COMMAND, *sys.argv[1:]])


def give(folder: Path) -> None:
    """Make USER the owner of the folder and all in it, where it is there and can be given."""
    for path in (folder, *folder.rglob("*")) if folder.is_dir() else ():
        if path.lstat().st_uid != USER:
            try:
                os.chown(path, USER, USER, follow_symlinks=False)
            except OSError as error:  # a read-only mount: what must be written there says so itself
                print(f"porchlight: {path} stays as it is: {error.strerror}", file=sys.stderr)


if __name__ == "__main__":
    main()
