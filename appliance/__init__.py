"""Porchlight: capture, inference, controller and gateway, and the mailbox between them."""

import os

__version__ = "0.1.0"

# ONNX Runtime's wheels for Linux report to their maker (from 1.32 on), unless told not to before they load. What watches
# a home reports to nobody that its owner did not name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
