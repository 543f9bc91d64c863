"""Controller: detections in; sentry, state channel, MQTT and Home Assistant's discovery out."""
