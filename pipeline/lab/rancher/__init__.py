"""A small Rancher 1.6 to practise on: its HTTP API, its states and its waiting; docs/lab-rancher.md says how far."""
