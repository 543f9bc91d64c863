"""synthetic://porch -- a doorstep that never was, and what is to be seen on it."""

from appliance.capture.synthetic.options import SceneOptions, Truth, Visit
from appliance.capture.synthetic.scene import Scene
from appliance.capture.synthetic.timestamp import read_timestamp

__all__ = ["Scene", "SceneOptions", "Truth", "Visit", "read_timestamp"]
