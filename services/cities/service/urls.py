from django.urls import path, register_converter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from cities.views import CityEvents, CityList, CityOne
from service.health import HealthView


class SlugConverter:
    """Letters of any script; what a database could not even be asked for is not found."""

    regex = r"[\w-]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(SlugConverter, "city")

# A city's slug may not be one of these words: see RESERVED_SLUGS in cities/models.py.
urlpatterns = [
    path("ws/cities", CityList.as_view(), name="cities"),
    path("ws/cities/health", HealthView.as_view(), name="health"),
    path("ws/cities/schema", SpectacularAPIView.as_view(), name="schema"),
    path("ws/cities/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("ws/cities/<city:slug>", CityOne.as_view(), name="city"),
    path("ws/cities/<city:slug>/events", CityEvents.as_view(), name="events"),
]

handler400 = "service.errors.bad_request"
handler403 = "service.errors.forbidden"
handler404 = "service.errors.not_found"
handler500 = "service.errors.server_error"
