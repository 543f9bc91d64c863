"""The topics that more than one stage names."""

from __future__ import annotations


def base_topic(instance: str) -> str:
    """Return what all of an instance's topics begin with."""
    return f"porchlight/{instance}"


def status_topic(instance: str) -> str:
    """Return where the controller is online or offline: its last will, and the gateway's word where it hangs."""
    return f"{base_topic(instance)}/status"


def picture_status_topic(instance: str) -> str:
    """Return where the picture bridge is online or offline: its last will, which the controller's discovery names."""
    return f"{base_topic(instance)}/picture/status"


def camera_topic(instance: str, camera: str, what: str) -> str:
    return f"{base_topic(instance)}/{camera}/{what}"
