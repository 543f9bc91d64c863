"""Capture: cameras in, frames into the mailbox, at the pace that the sentry asks for."""
