from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from cities.writers import give_token


class Command(BaseCommand):
    help = "Give a writer a new token and print it, this once. An older token of the same writer stops working."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose token this is: the writer's events carry external ids of its own")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        self.stdout.write(give_token(name))
