"""http(s):// -- MJPEG cameras: their JPEGs pass untouched."""
