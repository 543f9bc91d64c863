"""The JSON schema of config.yaml, for editors and for whoever checks a file without Porchlight."""

from __future__ import annotations

import json

from appliance.config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render() -> str:
    """Return the schema as it is checked in."""
    schema = {"$schema": DIALECT, **Settings.model_json_schema(), "title": "Porchlight settings"}
    return json.dumps(schema, indent=2, sort_keys=False) + "\n"
