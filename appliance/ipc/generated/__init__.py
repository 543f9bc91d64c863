"""Made by flatc from schemas/*.fbs; do not edit."""
