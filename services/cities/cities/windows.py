"""The time window that events are counted in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
    def is_absolute(self) -> bool:
        return all(moment is None or timezone.is_aware(moment) for moment in (self.since, self.until))

    def instant(self, moment: datetime, zones: Iterable[str]) -> Expression:
        """The moment as SQL: a constant, or what it is in the time zone of the row's city."""
        if timezone.is_aware(moment):
            return Value(moment, output_field=DateTimeField())
        zones_of: dict[datetime, list[str]] = {}
        for zone in zones:
            zones_of.setdefault(moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), []).append(zone)
        cases = [When(timezone__in=names, then=Value(instant)) for instant, names in sorted(zones_of.items())]
        return Case(*cases, output_field=DateTimeField())


def end_of_day(moment: datetime) -> datetime:
    """The midnight that ends the moment's day in the moment's own time zone."""
    return datetime.combine(moment.date() + timedelta(days=1), time.min, tzinfo=moment.tzinfo)


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min)
