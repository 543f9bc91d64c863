"""The model's input on a graphics card: made there, and never seen by this machine's memory."""
