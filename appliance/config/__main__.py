"""Write the JSON schema of config.yaml: python -m appliance.config schemas/settings.schema.json."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.config.schema import render


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m appliance.config", description="Write the settings' JSON schema.")
    parser.add_argument("target", type=Path)
    parser.parse_args().target.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
