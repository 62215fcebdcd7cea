"""Machines that an environment is built on."""
