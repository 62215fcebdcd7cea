"""The service's URLs and two that fail, for test_errors.py."""

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from service import urls
from service.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500"]


class DatabaseGone(APIView):
    def get(self, request: Request) -> Response:
        raise OperationalError("connection refused")


def bug(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret detail")


urlpatterns = [*urls.urlpatterns, path("bug", bug), path("database-gone", DatabaseGone.as_view())]
