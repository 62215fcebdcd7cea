"""What comes in and goes out, checked in one place for the API and for files."""

import unicodedata
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cities.models import RESERVED_SLUGS, City, Event
from cities.text import slug_of
from cities.windows import Window, end_of_day, start_of

_SLUG_LENGTH = City._meta.get_field("slug").max_length
# Far enough from the ends of the calendar for any time zone.
_FIRST_YEAR, _LAST_YEAR = 1900, 9000
_WRONG_YEAR = f"Should be between the years {_FIRST_YEAR} and {_LAST_YEAR}."
_CITY_ORDERS = ("name", "country", "event_count")


class CitySerializer(serializers.ModelSerializer):
    slug = serializers.CharField(
        required=False, max_length=_SLUG_LENGTH, help_text="Made from the name when not given: duesseldorf."
    )
    event_count = serializers.IntegerField(read_only=True, default=0)

    class Meta:
        model = City
        fields = ("name", "slug", "country", "timezone", "event_count")

    def to_internal_value(self, data):
        if isinstance(data, dict) and isinstance(data.get("country"), str):
            data = {**data, "country": data["country"].strip().upper()}
        return super().to_internal_value(data)

    def validate_name(self, name: str) -> str:
        return unicodedata.normalize("NFC", name)

    def validate_slug(self, slug: str) -> str:
        if slug != slug_of(slug, _SLUG_LENGTH):
            raise serializers.ValidationError("Use lower-case letters, digits and single hyphens.")
        return self._free(slug)

    def validate_timezone(self, name: str) -> str:
        if name not in _time_zones():
            raise serializers.ValidationError("This is no IANA time zone; one is Europe/Berlin.")
        return name

    def validate(self, attrs: dict) -> dict:
        if self.instance is None and "slug" not in attrs:
            slug = self.slug_for(attrs["name"])
            if not slug:
                raise serializers.ValidationError({"slug": ["The name makes no slug: send one."]})
            try:
                attrs["slug"] = self._free(slug)
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"slug": error.detail}) from error
        return attrs

    @staticmethod
    def slug_for(name: object) -> str:
        return slug_of(name, _SLUG_LENGTH) if isinstance(name, str) else ""

    def _free(self, slug: str) -> str:
        if slug in RESERVED_SLUGS:
            raise serializers.ValidationError(f"{slug} is a word of this service: send another slug.")
        others = City.objects.exclude(pk=self.instance.pk) if self.instance else City.objects
        if others.filter(slug=slug).exists():
            raise serializers.ValidationError(f"There is a city {slug} already: send another slug.")
        return slug


class LocalTimeField(serializers.DateTimeField):
    """Without an offset: in the current time zone. Of a time that the clock shows twice the first is meant."""

    default_error_messages = {
        "years": _WRONG_YEAR,
        "skipped": "The clock skips this time in {zone}: send another one.",
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        zone = timezone.get_current_timezone()
        if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            self.fail("years")
        if timezone.is_aware(value):
            return value.astimezone(zone)
        local = value.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != value:
            self.fail("skipped", zone=zone)
        return local


class EventSerializer(serializers.ModelSerializer):
    """An event of a city. Activate the city's time zone with `timezone.override` around it."""

    starts_at = LocalTimeField(help_text=Event._meta.get_field("starts_at").help_text)
    ends_at = LocalTimeField(required=False, allow_null=True, help_text=Event._meta.get_field("ends_at").help_text)

    class Meta:
        model = Event
        fields = ("external_id", "title", "starts_at", "ends_at")

    def validate_title(self, title: str) -> str:
        return unicodedata.normalize("NFC", title)

    def validate(self, attrs: dict) -> dict:
        # Instants: in one time zone Python compares what the clock shows, and that goes back once a year.
        starts_at = attrs["starts_at"].astimezone(UTC)
        ends_at = (attrs.get("ends_at") or end_of_day(attrs["starts_at"])).astimezone(UTC)
        if ends_at <= starts_at:
            raise serializers.ValidationError({"ends_at": ["Should be after starts_at."]})
        return {**attrs, "starts_at": starts_at, "ends_at": ends_at}


@extend_schema_field(OpenApiTypes.STR)
class MomentField(serializers.Field):
    """A day, a local time, or a time with an offset; a naive value is local time in each city."""

    default_error_messages = {
        "invalid": "Send a day like 2026-05-01 or a time like 2026-05-01T20:00:00Z.",
        "years": _WRONG_YEAR,
    }

    def __init__(self, *, whole_day: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.whole_day = whole_day  # a day means its end, not its beginning

    def to_internal_value(self, text: str) -> datetime:
        try:
            moment = start_of(date.fromisoformat(text))
        except ValueError:
            return self._in_calendar(self._time(text))
        return self._in_calendar(moment) + timedelta(days=1 if self.whole_day else 0)

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()

    def _time(self, text: str) -> datetime:
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            self.fail("invalid")
        return moment

    def _in_calendar(self, moment: datetime) -> datetime:
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            self.fail("years")
        return moment


class WindowQuery(serializers.Serializer):
    since = MomentField(required=False, help_text="Events that are not over then: 2026-05-01 or 2026-05-01T20:00:00Z.")
    until = MomentField(
        required=False, whole_day=True, help_text="Events that begin before then; a day counts as a whole."
    )

    def validate(self, attrs: dict) -> dict:
        since, until = attrs.get("since"), attrs.get("until")
        if since and until:
            # Else they would be in order in one city and not in another.
            if timezone.is_aware(since) != timezone.is_aware(until):
                raise serializers.ValidationError({"until": ["Should have an offset if since has one, and else none."]})
            if since >= until:
                raise serializers.ValidationError({"until": ["Should be after since."]})
        return attrs

    def window(self) -> Window:
        """Call it after is_valid."""
        ends = {name: self.validated_data[name] for name in ("since", "until") if name in self.validated_data}
        return Window(**ends) if ends else Window.of_what_is_not_over()


class CityQuery(WindowQuery):
    search = serializers.CharField(
        required=False, allow_blank=True, max_length=100, help_text="Words of the name, whatever the case and accents."
    )
    country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False, help_text="Two letters of ISO 3166-1: DE.")
    ordering = serializers.ChoiceField(
        required=False, default="name", choices=[f"{sign}{name}" for name in _CITY_ORDERS for sign in ("", "-")]
    )


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
