"""A small Kong-compatible API gateway for practice and local work (docs/lab-gateway.md)."""
