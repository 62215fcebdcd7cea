"""The API."""

from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema, inline_serializer
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from cities.batches import checked_events, told
from cities.events import Outcome, store_events
from cities.models import City, CityQuerySet, Event
from cities.pages import Pages
from cities.serializers import CityQuery, CitySerializer, EventSerializer, WindowQuery
from cities.windows import Window

_COLUMNS = {"name": "search_text"}  # the name without accents, which every database sorts alike


class CityList(generics.ListCreateAPIView):
    """The cities that the site serves, each with its number of events: those that are not over, or in a window."""

    serializer_class = CitySerializer
    pagination_class = Pages
    queryset = City.objects.all()

    def filter_queryset(self, queryset: CityQuerySet) -> CityQuerySet:
        query = CityQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        if "country" in asked:
            queryset = queryset.filter(country=asked["country"].upper())
        name = asked["ordering"].removeprefix("-")
        order = asked["ordering"].replace(name, _COLUMNS.get(name, name))
        return queryset.search(asked.get("search", "")).with_event_count(query.window()).order_by(order, "slug")

    @extend_schema(parameters=[CityQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def perform_create(self, serializer: CitySerializer) -> None:
        _save(serializer)

    def get_success_headers(self, data: dict) -> dict[str, str]:
        return {"Location": f"{self.request.path}/{data['slug']}"}


class CityOne(generics.RetrieveUpdateDestroyAPIView):
    """A city with its number of events."""

    serializer_class = CitySerializer
    lookup_field = "slug"
    queryset = City.objects.all()

    def filter_queryset(self, queryset: CityQuerySet) -> CityQuerySet:
        return queryset.with_event_count(_window(self.request))

    @extend_schema(parameters=[WindowQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def perform_update(self, serializer: CitySerializer) -> None:
        _save(serializer)

    @transaction.atomic
    def perform_destroy(self, instance: City) -> None:
        City.objects.select_for_update().filter(pk=instance.pk).first()  # before its events, as in store_events
        instance.delete()


class CityEvents(generics.ListAPIView):
    """A city's events: those that are not over, or in a window. Times are shown in the city's time zone."""

    serializer_class = EventSerializer
    pagination_class = Pages
    queryset = Event.objects.all()

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        window = _window(self.request).at(timezone.get_current_timezone())
        events = queryset.filter(city__slug=self.kwargs["slug"]).during(window.since, window.until)
        return events.order_by("starts_at", "pk")

    @extend_schema(parameters=[WindowQuery])
    def get(self, request: Request, slug: str) -> Response:
        city = get_object_or_404(City, slug=slug)
        with timezone.override(ZoneInfo(city.timezone)):
            return super().get(request, slug=slug)

    _STORED = inline_serializer(
        "StoredEvents",
        {
            **{outcome.value: serializers.IntegerField() for outcome in Outcome},
            "results": inline_serializer(
                "StoredEvent",
                {"external_id": serializers.CharField(), "outcome": serializers.ChoiceField([*Outcome])},
                many=True,
            ),
        },
    )
    _ONE_OR_MORE = PolymorphicProxySerializer(
        "EventOrEvents", [EventSerializer, EventSerializer(many=True)], resource_type_field_name=None, many=False
    )

    @extend_schema(
        request=_ONE_OR_MORE,
        responses={200: _STORED, 201: _STORED, 400: OpenApiResponse(description="Nothing was stored.")},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Store one event or a list of them, all or none. By its external id each is created, updated or unchanged."""
        city = get_object_or_404(City, slug=slug)
        with timezone.override(ZoneInfo(city.timezone)):
            events = checked_events(city, request.data)
        try:
            outcomes = store_events(request.user, events)
        except City.DoesNotExist:
            raise NotFound from None
        return Response(told(events, outcomes), status=201 if Outcome.CREATED in outcomes else 200)


def _window(request: Request) -> Window:
    query = WindowQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    return query.window()


def _save(serializer: CitySerializer) -> None:
    try:
        with transaction.atomic():
            serializer.save()
    except IntegrityError:
        # Somebody else took the slug between the check and here.
        raise ValidationError({"slug": ["There is a city of this slug already: send another slug."]}) from None
