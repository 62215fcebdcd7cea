from pipeline.tasks import ns  # noqa: F401 - all that an estate needs
