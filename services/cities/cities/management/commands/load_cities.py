from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from cities.events import Outcome
from cities.loading import UnreadableFileError, load


class Command(BaseCommand):
    help = "Load cities and events from JSON and CSV files; loading a file again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="named .json or .csv")
        parser.add_argument("--writer", default="files", help="whose events these are (default: %(default)s)")
        parser.add_argument("--strict", action="store_true", help="store nothing when anything has to be skipped")

    @transaction.atomic
    def handle(self, *args: Any, files: list[Path], writer: str, strict: bool, **options: Any) -> None:
        try:
            report = load(writer, files)
        except UnreadableFileError as error:
            raise CommandError(f"{error}. Nothing was stored.") from error
        for reason in report.skipped:
            self.stderr.write(f"skipped {reason}")
        if strict and report.skipped:
            raise CommandError(f"{len(report.skipped)} rows are wrong. Nothing was stored.")
        for name, counts in (("cities", report.cities), ("events", report.events)):
            self.stdout.write(f"{name}: {', '.join(f'{counts[outcome]} {outcome}' for outcome in Outcome)}")
        self.stdout.write(f"skipped: {len(report.skipped)}")
