"""Porchlight: capture, inference, controller and gateway, and the mailbox between them."""

import os

__version__ = "0.1.0"

# ONNX Runtime reports to its maker (its wheels for Linux, from 1.32 on), unless told not to before it loads. What watches
# a home reports to nobody that its owner did not name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
