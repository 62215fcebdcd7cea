"""What is posted to a city's events: one event, or a list of which all are stored or none."""

from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import APIException

from cities.events import Outcome
from cities.models import City, Event
from cities.serializers import EventSerializer

LARGEST = 1000


class BatchRefusedError(APIException):
    """Says of each wrong event where it is in the list and what is wrong with it."""

    status_code = 400

    def __init__(self, detail: str, errors: Sequence[dict[str, Any]] = ()) -> None:
        self.detail = {"detail": detail, "errors": list(errors)}


def checked_events(city: City, sent: object) -> list[Event]:
    """Unsaved events. Local times are read in the current time zone: activate the city's."""
    if not isinstance(sent, list):
        serializer = EventSerializer(data=sent)
        serializer.is_valid(raise_exception=True)
        return [Event(city=city, **serializer.validated_data)]
    if len(sent) > LARGEST:
        raise BatchRefusedError(f"Nothing was stored: a batch is at most {LARGEST} events, these are {len(sent)}.")
    return _checked_batch(city, sent)


def told(events: Sequence[Event], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The answer: how many of each outcome, and each event's own."""
    pairs = zip(events, outcomes, strict=True)
    return {
        **{outcome.value: outcomes.count(outcome) for outcome in Outcome},
        "results": [{"external_id": event.external_id, "outcome": outcome.value} for event, outcome in pairs],
    }


def _checked_batch(city: City, sent: list) -> list[Event]:
    events: list[Event] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, item in enumerate(sent):
        serializer = EventSerializer(data=item)
        wrong = {} if serializer.is_valid() else serializer.errors
        external_id = serializer.validated_data.get("external_id")
        if external_id in seen:
            wrong = {"external_id": ["Is in this batch already."]}
        if wrong:
            errors.append({"index": index, "external_id": _sent_id(item), "errors": wrong})
            continue
        seen.add(external_id)
        events.append(Event(city=city, **serializer.validated_data))
    if errors:
        raise BatchRefusedError(f"Nothing was stored: {len(errors)} of {len(sent)} events are wrong.", errors)
    return events


def _sent_id(item: object) -> object:
    return item.get("external_id") if isinstance(item, dict) else None
