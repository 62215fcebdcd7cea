"""The time window that events are counted in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.db.models import Case, DateTimeField, Value, When
from django.db.models.expressions import Expression
from django.utils import timezone


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Events that last into `since` or later and start before `until`. A naive moment is each city's local time."""

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of_what_is_not_over(cls) -> "Window":
        return cls(since=timezone.now())

    @property
    def is_local(self) -> bool:
        """It begins or ends at different instants in different time zones."""
        return any(moment and timezone.is_naive(moment) for moment in (self.since, self.until))

    def at(self, zone: tzinfo) -> "Window":
        """The same window where that is the local time."""
        return Window(since=_at(self.since, zone), until=_at(self.until, zone))


def instant_in_zone_of_row(moment: datetime, zones: Iterable[str]) -> Expression:
    """The moment as SQL over rows with a column `timezone`: a constant, or what it is in the row's own zone."""
    if timezone.is_aware(moment):
        return Value(moment, output_field=DateTimeField())
    zones_of: dict[datetime, list[str]] = {}
    for zone in zones:
        zones_of.setdefault(_at(moment, ZoneInfo(zone)).astimezone(UTC), []).append(zone)
    cases = [When(timezone__in=names, then=Value(instant)) for instant, names in sorted(zones_of.items())]
    return Case(*cases, output_field=DateTimeField())


def end_of_day(moment: datetime) -> datetime:
    """The midnight that ends the moment's day in the moment's own time zone."""
    return datetime.combine(moment.date() + timedelta(days=1), time.min, tzinfo=moment.tzinfo)


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min)


def _at(moment: datetime | None, zone: tzinfo) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment and timezone.is_naive(moment) else moment
