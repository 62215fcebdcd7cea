"""Cities and events from files: what is wrong is skipped and told, the rest is stored."""

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from cities.events import Outcome, store_events
from cities.models import City, Event, Writer
from cities.serializers import CitySerializer, EventSerializer

logger = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "sample.json"
_SAMPLE_WRITER = "sample"
_BATCH = 500


class UnreadableFileError(Exception):
    """The file as a whole cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    place: str  # for people: "cities.csv:3", "cities.json: cities[2]"
    values: Any  # what was found there, a dict if it is any good


@dataclass(slots=True)
class Report:
    cities: Counter[Outcome] = field(default_factory=Counter)
    events: Counter[Outcome] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)


@transaction.atomic
def load(writer_name: str, paths: Iterable[Path]) -> Report:
    """All cities of all files, then all events: an event may come in an earlier file than its city.

    Raises UnreadableFileError; nothing is stored then.
    """
    cities: list[Row] = []
    events: list[Row] = []
    for path in paths:
        for rows, found in zip((cities, events), _read(path), strict=True):
            rows.extend(found)
    report = Report()
    for row in cities:
        _store_city(row, report)
    writer, _ = Writer.objects.get_or_create(name=writer_name)
    _store_events(writer, events, report)
    return report


@transaction.atomic
def load_sample_once() -> None:
    """Into a database that has never been used. The writer `sample` is the mark that this was done: what is deleted
    later stays deleted."""
    _, is_first = Writer.objects.get_or_create(name=_SAMPLE_WRITER)
    if is_first and not City.objects.exists():
        report = load(_SAMPLE_WRITER, [SAMPLE])
        logger.info("Loaded the sample data: %s cities, %s events", report.cities.total(), report.events.total())


def _read(path: Path) -> tuple[list[Row], list[Row]]:
    """The rows of cities and the rows of events."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path}: is not UTF-8 (byte {error.start})") from error
    readers = {".json": _read_json, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise UnreadableFileError(f"{path}: should be named .json or .csv")
    return readers[path.suffix.lower()](path, text)


def _read_json(path: Path, text: str) -> tuple[list[Row], list[Row]]:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableFileError(f"{path}: is not JSON: {error}") from error
    if not isinstance(found, dict) or not found or not set(found) <= {"cities", "events"}:
        raise UnreadableFileError(f'{path}: should be an object like {{"cities": [...], "events": [...]}}')
    if not all(isinstance(items, list) for items in found.values()):
        raise UnreadableFileError(f"{path}: cities and events should be lists")
    cities, events = (
        [Row(f"{path}: {key}[{index}]", item) for index, item in enumerate(found.get(key, []))]
        for key in ("cities", "events")
    )
    return cities, events


def _read_csv(path: Path, text: str) -> tuple[list[Row], list[Row]]:
    """A file with the column external_id holds events, else cities. Separated by commas or semicolons."""
    header = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=";" if ";" in header else ",", strict=True)
    try:
        columns = [column.strip() for column in next(lines, [])]
        needed = {"city", "external_id", "title", "starts_at"} if "external_id" in columns else set(_CITY_COLUMNS)
        if missing := sorted(needed - set(columns)):
            raise UnreadableFileError(f"{path}:1: columns are missing: {', '.join(missing)}")
        rows = list(_csv_rows(path, columns, lines))
    except csv.Error as error:
        raise UnreadableFileError(f"{path}:{lines.line_num}: is not CSV: {error}") from error
    return ([], rows) if "external_id" in columns else (rows, [])


_CITY_COLUMNS = ("name", "country", "timezone")


def _csv_rows(path: Path, columns: list[str], lines: Any) -> Iterator[Row]:
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        place = f"{path}:{lines.line_num}"
        if len(cells) != len(columns):
            yield Row(place, f"{len(cells)} cells where the header has {len(columns)}")
            continue
        yield Row(place, {column: cell for column, cell in zip(columns, cells, strict=True) if cell.strip()})


def _store_city(row: Row, report: Report) -> None:
    if not isinstance(row.values, dict):
        report.skipped.append(_not_a_row(row))
        return
    serializer = CitySerializer(data=row.values)
    known = _known_city(serializer, row.values)
    if known:
        serializer = CitySerializer(known, data=row.values)
    if not serializer.is_valid():
        report.skipped.append(f"{row.place}: {_sentence(serializer.errors)}")
        return
    wanted = serializer.validated_data
    if known and all(getattr(known, name) == value for name, value in wanted.items()):
        report.cities[Outcome.UNCHANGED] += 1
        return
    serializer.save()
    report.cities[Outcome.UPDATED if known else Outcome.CREATED] += 1


def _known_city(serializer: CitySerializer, values: dict) -> City | None:
    slug = values.get("slug") or serializer.slug_for(values.get("name"))
    return City.objects.filter(slug=slug).first() if isinstance(slug, str) else None


def _store_events(writer: Writer, rows: list[Row], report: Report) -> None:
    """In batches. Of two rows with one external id the first counts."""
    cities = {city.slug: city for city in City.objects.select_for_update(no_key=True).order_by("pk")}
    batch: list[Event] = []
    seen: set[str] = set()
    for row in rows:
        event = _event(row, cities, report)
        if event is None:
            continue
        if event.external_id in seen:
            report.skipped.append(f"{row.place}: external_id: {event.external_id} came before.")
            continue
        seen.add(event.external_id)
        batch.append(event)
        if len(batch) == _BATCH:
            report.events.update(store_events(writer, batch))
            batch = []
    if batch:
        report.events.update(store_events(writer, batch))


def _event(row: Row, cities: dict[str, City], report: Report) -> Event | None:
    if not isinstance(row.values, dict):
        report.skipped.append(_not_a_row(row))
        return None
    slug = row.values.get("city")
    city = cities.get(slug) if isinstance(slug, str) else None
    if city is None:
        report.skipped.append(f"{row.place}: city: There is no city {slug!r}.")
        return None
    with timezone.override(ZoneInfo(city.timezone)):
        serializer = EventSerializer(data=row.values)
        if not serializer.is_valid():
            report.skipped.append(f"{row.place}: {_sentence(serializer.errors)}")
            return None
    return Event(city=city, **serializer.validated_data)


def _not_a_row(row: Row) -> str:
    return f"{row.place}: {row.values if isinstance(row.values, str) else 'Should be an object.'}"


def _sentence(errors: dict) -> str:
    return "; ".join(f"{name}: {' '.join(str(message) for message in messages)}" for name, messages in errors.items())
