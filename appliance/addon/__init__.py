"""As a Home Assistant add-on: the Supervisor's options and MQTT service become settings."""

from appliance.addon.start import AddonError, is_here, prepare

__all__ = ["AddonError", "is_here", "prepare"]
