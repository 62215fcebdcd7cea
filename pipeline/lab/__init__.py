"""Servers to practise on, on this machine, in front of real containers. Never for production."""
