"""Lists come in pages."""

from typing import Any
from urllib.parse import urlsplit

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def get_next_link(self) -> str | None:
        return _without_host(super().get_next_link())

    def get_previous_link(self) -> str | None:
        return _without_host(super().get_previous_link())

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        answer = super().get_paginated_response_schema(schema)
        for name, page in (("next", 4), ("previous", 2)):
            answer["properties"][name] |= {"format": "uri-reference", "example": f"/ws/cities?page={page}"}
        return answer


def _without_host(link: str | None) -> str | None:
    """Behind a gateway the host that this service sees is not the one that the client asked."""
    return link and urlsplit(link)._replace(scheme="", netloc="").geturl()
