"""Porchlight: capture, inference, controller and gateway, and the mailbox between them."""

__version__ = "0.1.0"
