"""Build, deploy and register microservices; restore, roll back, prune and rebuild what runs."""
