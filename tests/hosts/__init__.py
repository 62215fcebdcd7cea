"""Hosts: folders made by hand, and machines that they are applied to."""
