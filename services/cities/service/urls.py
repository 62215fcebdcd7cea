from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from cities.views import CityEvents, CityList, CityOne
from service.health import HealthView

# A city's slug may not be one of these words: see RESERVED_SLUGS in cities/models.py.
urlpatterns = [
    path("ws/cities", CityList.as_view(), name="cities"),
    path("ws/cities/health", HealthView.as_view(), name="health"),
    path("ws/cities/schema", SpectacularAPIView.as_view(), name="schema"),
    path("ws/cities/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("ws/cities/<str:slug>", CityOne.as_view(), name="city"),
    path("ws/cities/<str:slug>/events", CityEvents.as_view(), name="events"),
]

handler400 = "service.errors.bad_request"
handler403 = "service.errors.forbidden"
handler404 = "service.errors.not_found"
handler500 = "service.errors.server_error"
