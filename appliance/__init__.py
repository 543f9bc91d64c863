"""Porchlight: capture, inference, controller and gateway, and the mailbox between them."""

import os

__version__ = "0.1.0"

# ONNX Runtime (its wheels for Linux, from 1.32 on) reports to its maker, unless told not to before it loads. What
# watches a home reports to nobody that its owner did not name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
