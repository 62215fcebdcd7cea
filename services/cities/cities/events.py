"""Events are stored once for each writer and external id, however often and by how many at once they are sent."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from django.db import transaction

from cities.models import City, Event, Writer

_CHANGEABLE = ("city_id", "title", "starts_at", "ends_at")


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@transaction.atomic
def store_events(writer: Writer, events: Sequence[Event]) -> list[Outcome]:
    """All of the unsaved `events`, or none. The external ids differ; outcomes are in the events' order.

    Raises City.DoesNotExist when a city went away meanwhile.
    """
    _lock(writer, {event.city_id for event in events})
    ids = [event.external_id for event in events]
    stored = {event.external_id: event for event in writer.events.select_for_update().filter(external_id__in=ids)}
    outcomes = [_settle(stored.get(event.external_id), event) for event in events]
    for event in events:
        event.writer = writer
    Event.objects.bulk_create(_only(Outcome.CREATED, events, outcomes))
    changed = [stored[event.external_id] for event in _only(Outcome.UPDATED, events, outcomes)]
    Event.objects.bulk_update(changed, ("city", "title", "starts_at", "ends_at"))
    return outcomes


def _lock(writer: Writer, city_ids: Iterable[int]) -> None:
    """Batches of one writer come one after the other, and no city goes away beneath its events.

    Always the writer first, then the cities by their keys, then events: nobody waits for each other in a ring.
    (SQLite has no row locks and needs none: its transactions that write are one after the other.)
    """
    Writer.objects.select_for_update().get(pk=writer.pk)
    wanted = set(city_ids)
    if len(City.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")) < len(wanted):
        raise City.DoesNotExist


def _settle(stored: Event | None, event: Event) -> Outcome:
    if stored is None:
        return Outcome.CREATED
    wanted = {name: getattr(event, name) for name in _CHANGEABLE}
    if wanted == {name: getattr(stored, name) for name in _CHANGEABLE}:
        return Outcome.UNCHANGED
    for name, value in wanted.items():
        setattr(stored, name, value)
    return Outcome.UPDATED


def _only(outcome: Outcome, events: Sequence[Event], outcomes: Sequence[Outcome]) -> list[Event]:
    return [event for event, its in zip(events, outcomes, strict=True) if its is outcome]
