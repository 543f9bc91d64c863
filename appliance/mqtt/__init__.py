"""MQTT: a connection that comes back by itself, says when it is gone, and knows why it cannot be had."""

from appliance.mqtt.clients import OFFLINE
from appliance.mqtt.connection import NO_ROOM, ONLINE, Connection
from appliance.mqtt.identity import install_id
from appliance.mqtt.topics import base_topic, camera_topic, picture_status_topic, status_topic

__all__ = [
    "NO_ROOM",
    "OFFLINE",
    "ONLINE",
    "Connection",
    "base_topic",
    "camera_topic",
    "install_id",
    "picture_status_topic",
    "status_topic",
]
