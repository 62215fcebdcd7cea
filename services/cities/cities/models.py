"""Cities, their events, and the writers who post them."""

from datetime import datetime

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from cities.text import folded, searchable
from cities.windows import Window, instant_in_zone_of_row

Moment = datetime | OuterRef

# What follows /ws/cities/ in URLs that are not a city's.
RESERVED_SLUGS = frozenset({"docs", "events", "health", "schema", "static"})


class CityQuerySet(models.QuerySet):
    def search(self, text: str) -> "CityQuerySet":
        """The cities whose name contains each word, whatever its case and accents."""
        return self.filter(*(Q(search_text__contains=word) for word in folded(text).split()))

    def with_event_count(self, window: Window) -> "CityQuerySet":
        """One more column, not one more query; and nothing at all for a query that does not select it (COUNT)."""
        zones = tuple(City.objects.values_list("timezone", flat=True).distinct()) if window.is_local else ()
        cities, ends = self, {}
        for name, moment in (("since", window.since), ("until", window.until)):
            if moment:
                cities = cities.annotate(**{f"_{name}": instant_in_zone_of_row(moment, zones)})
                ends[name] = OuterRef(f"_{name}")
        events = Event.objects.filter(city=OuterRef("pk")).during(**ends)
        count = events.order_by().values("city").annotate(count=Count("*")).values("count")
        return cities.annotate(event_count=Coalesce(Subquery(count), 0))


class EventQuerySet(models.QuerySet):
    def during(self, since: Moment | None = None, until: Moment | None = None) -> "EventQuerySet":
        """The events of which some part lies between the two."""
        events = self.filter(ends_at__gt=since) if since else self
        return events.filter(starts_at__lt=until) if until else events


class City(models.Model):
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True, allow_unicode=True)
    country = models.CharField(
        max_length=2,
        db_index=True,
        validators=[RegexValidator(r"^[A-Z]{2}\Z", "Send the two letters of ISO 3166-1, for example DE.")],
        help_text="Two letters of ISO 3166-1: DE.",
    )
    timezone = models.CharField(max_length=64, help_text="IANA name: Europe/Berlin. Local times are read in it.")
    search_text = models.TextField(editable=False)

    objects = CityQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.country})"

    def save(self, *args, **kwargs) -> None:
        self.search_text = searchable(self.name)
        super().save(*args, **kwargs)


class Writer(models.Model):
    """Who may write. Its events' external ids are its own: two writers may use the same ones."""

    name = models.CharField(max_length=100, unique=True)
    # SHA-256 of a long random token; null: writes from the command line only.
    token_hash = models.CharField(max_length=64, unique=True, null=True)  # noqa: DJ001 (two may have none)

    is_authenticated = True  # what the permission classes ask of a request's user

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    city = models.ForeignKey(City, on_delete=models.CASCADE, related_name="events", db_index=False)
    writer = models.ForeignKey(Writer, on_delete=models.PROTECT, related_name="events", db_index=False)
    external_id = models.CharField(max_length=200, help_text="The caller's own: sent again, it changes that event.")
    title = models.CharField(max_length=200)
    starts_at = models.DateTimeField(help_text="Without an offset: in the city's time zone.")
    ends_at = models.DateTimeField(help_text="As starts_at; when not given, the end of that day there.")

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("writer", "external_id"), name="event_once_per_writer"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="event_ends_after_its_start"),
        ]
        indexes = [models.Index(fields=("city", "ends_at", "starts_at"), name="event_count")]

    def __str__(self) -> str:
        return self.title
