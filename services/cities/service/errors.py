"""Every error is JSON with a `detail`, whoever raises it: a view, the URL resolver, a middleware or a bug."""

import logging

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from service import request_id

logger = logging.getLogger(__name__)


def answer_exception(error: Exception, context: dict) -> Response | None:
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database does not answer", exc_info=error)
        set_rollback()
        return Response({"detail": "The database does not answer."}, status=503, headers={"Retry-After": "5"})
    return exception_handler(error, context)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": "Bad request."}, status=400)


def forbidden(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": "Forbidden."}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": "Not found."}, status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"detail": "Internal server error.", "request_id": request_id.current()}, status=500)
