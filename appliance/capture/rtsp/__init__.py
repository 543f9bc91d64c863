"""rtsp:// and rtsps://: IP cameras."""
