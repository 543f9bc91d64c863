"""The model store: where models come from, and how one becomes a file that can be trusted."""
