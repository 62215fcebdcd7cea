"""Healthy: the database answers and holds every migration that this code has."""

import logging
from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

logger = logging.getLogger(__name__)

_STATES = {
    name: serializers.ChoiceField(choices=choices)
    for name, choices in {
        "status": ("ok", "failing"),
        "database": ("ok", "unreachable"),
        "migrations": ("ok", "missing", "unknown"),
    }.items()
}
_ANSWER = inline_serializer("Health", _STATES)


class HealthView(APIView):
    """Asked by the platform every few seconds: two small queries at most."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses={200: _ANSWER, 503: _ANSWER})
    def get(self, request: Request) -> Response:
        try:
            connection.ensure_connection()
        except DatabaseError:
            logger.exception("The database does not answer")
            return _failing(database="unreachable", migrations="unknown")
        try:
            missing = missing_migrations()
        except DatabaseError:
            logger.exception("The database does not tell its migrations")
            return _failing(database="unreachable", migrations="unknown")
        if missing:
            logger.error("Migrations are missing: %s", ", ".join(f"{app}.{name}" for app, name in missing))
            return _failing(database="ok", migrations="missing")
        return Response({"status": "ok", "database": "ok", "migrations": "ok"})


def missing_migrations() -> list[tuple[str, str]]:
    """This code's migrations that the database lacks. Those of newer code, which may run beside this, are no matter."""
    return sorted(_own_migrations() - set(MigrationRecorder(connection).applied_migrations()))


@cache
def _own_migrations() -> frozenset[tuple[str, str]]:
    loader = MigrationLoader(None)
    return frozenset(loader.disk_migrations)


def _failing(**states: str) -> Response:
    return Response({"status": "failing", **states}, status=503)
