"""Gateway: the live picture with boxes over WebSocket and MJPEG, the page, and the picture for Home Assistant."""
