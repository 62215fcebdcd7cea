"""Which release answers: told by OPTIONS, unless the setting SHOW_RELEASE hides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.metadata import SimpleMetadata

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView  # which imports this module


class ReleaseMetadata(SimpleMetadata):
    def determine_metadata(self, request: Request, view: APIView) -> dict[str, Any]:
        metadata = super().determine_metadata(request, view)
        if settings.SHOW_RELEASE:
            metadata.update(settings.RELEASE)
        return metadata
