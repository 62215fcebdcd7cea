"""The API."""

from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema, inline_serializer
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from cities.events import Outcome, store_events
from cities.models import City, CityQuerySet, Event
from cities.pages import Pages
from cities.serializers import CityQuery, CitySerializer, EventSerializer, WindowQuery
from cities.windows import Window

_LARGEST_BATCH = 1000
_ORDERS = {"name": "search_text"}  # by the name without accents, which every database sorts alike

_STORED = inline_serializer(
    "StoredEvents",
    {
        **{outcome.value: serializers.IntegerField() for outcome in Outcome},
        "results": inline_serializer(
            "StoredEvent",
            {"external_id": serializers.CharField(), "outcome": serializers.ChoiceField([o.value for o in Outcome])},
            many=True,
        ),
    },
)


class CityList(generics.ListCreateAPIView):
    """The cities that the site serves, each with its number of events."""

    serializer_class = CitySerializer
    pagination_class = Pages
    queryset = City.objects.all()

    def filter_queryset(self, queryset: CityQuerySet) -> CityQuerySet:
        query = CityQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        if "country" in asked:
            queryset = queryset.filter(country=asked["country"].upper())
        sign, order = ("-", asked["ordering"][1:]) if asked["ordering"].startswith("-") else ("", asked["ordering"])
        return (
            queryset.search(asked.get("search", ""))
            .with_event_count(query.window() or Window.of_what_is_not_over())
            .order_by(f"{sign}{_ORDERS.get(order, order)}", "slug")
        )

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
        return queryset.with_event_count(_window(self.request) or Window.of_what_is_not_over())

    @extend_schema(parameters=[WindowQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def perform_update(self, serializer: CitySerializer) -> None:
        _save(serializer)

    @transaction.atomic
    def perform_destroy(self, instance: City) -> None:
        """The city first, as in cities/events.py, then its events."""
        City.objects.select_for_update().filter(pk=instance.pk).first()
        instance.delete()


class CityEvents(generics.ListAPIView):
    """A city's events."""

    serializer_class = EventSerializer
    pagination_class = Pages
    queryset = Event.objects.none()

    def get_queryset(self):
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        window = _window(self.request) or Window.of_what_is_not_over()
        events = self._city.events.order_by("starts_at", "pk")
        if window.since:
            events = events.filter(ends_at__gt=self._instant(window.since))
        if window.until:
            events = events.filter(starts_at__lt=self._instant(window.until))
        return events

    @extend_schema(parameters=[WindowQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._city = get_object_or_404(City, slug=kwargs["slug"])
        with timezone.override(ZoneInfo(self._city.timezone)):
            return super().get(request, *args, **kwargs)

    @extend_schema(
        request=PolymorphicProxySerializer(
            "EventOrEvents", [EventSerializer, EventSerializer(many=True)], resource_type_field_name=None
        ),
        responses={200: _STORED, 201: _STORED, 400: OpenApiResponse(description="Nothing was stored.")},
    )
    def post(self, request: Request, slug: str) -> Response:
        """One event or a list of them, all or none: each is created, updated or left unchanged by its external id."""
        city = get_object_or_404(City, slug=slug)
        sent = request.data if isinstance(request.data, list) else [request.data]
        with timezone.override(ZoneInfo(city.timezone)):
            events = [Event(city=city, **fields) for fields in self._checked(sent)]
        try:
            outcomes = store_events(request.user, events)
        except City.DoesNotExist:
            raise NotFound from None
        results = [
            {"external_id": event.external_id, "outcome": outcome}
            for event, outcome in zip(events, outcomes, strict=True)
        ]
        counts = {outcome: outcomes.count(outcome) for outcome in Outcome}
        return Response({**counts, "results": results}, status=201 if Outcome.CREATED in outcomes else 200)

    def _checked(self, sent: list) -> list[dict]:
        if len(sent) > _LARGEST_BATCH:
            raise ValidationError({"detail": f"A batch is at most {_LARGEST_BATCH} events; these are {len(sent)}."})
        checks = [EventSerializer(data=item) for item in sent]
        errors = []
        seen: set[str] = set()
        for index, check in enumerate(checks):
            if not check.is_valid():
                errors.append({"index": index, "external_id": _id_of(sent[index]), "errors": check.errors})
                continue
            external_id = check.validated_data["external_id"]
            if external_id in seen:
                twice = {"external_id": ["Is in this batch already."]}
                errors.append({"index": index, "external_id": external_id, "errors": twice})
            seen.add(external_id)
        if errors:
            wrong = f"Nothing was stored: {len(errors)} of {len(sent)} events are wrong."
            raise ValidationError({"detail": wrong, "errors": errors})
        return [check.validated_data for check in checks]

    def _instant(self, moment):
        return moment if timezone.is_aware(moment) else moment.replace(tzinfo=ZoneInfo(self._city.timezone))


def _window(request: Request) -> Window | None:
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


def _id_of(item: object) -> object:
    return item.get("external_id") if isinstance(item, dict) else None
