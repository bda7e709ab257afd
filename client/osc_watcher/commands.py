# SPDX-License-Identifier: Apache-2.0
"""What the commands share: their API, the columns of a resource, the options of a list."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cliff.columns import FormattableColumn
from osc_lib.cli import parseractions
from watcherclient import exceptions
from watcherclient.common import command

from osc_watcher.api import Api


class Field(NamedTuple):
    """One column: its label, the field of the resource, and how people read it."""

    label: str
    name: str
    human: Callable[[Any], str] | None = None


class Cell(FormattableColumn):
    """A value that is shown as one text to people, and unchanged to programs."""

    def __init__(self, value: Any, human: Callable[[Any], str]) -> None:
        super().__init__(value)
        self._human = human

    def human_readable(self) -> str:
        return self._human(self._value)


def structure(value: Any) -> str:
    """JSON that people can read; an empty text for an empty value."""
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def pairs(value: Mapping[str, Any] | None) -> str:
    """One line for each member; null members are left out."""
    given = {name: each for name, each in (value or {}).items() if each is not None}
    return "\n".join(f"{name}: {each}" for name, each in given.items())


def row(fields: Iterable[Field], resource: Mapping[str, Any]) -> tuple[Any, ...]:
    """The cells of a resource; None for fields that the service did not send."""
    return tuple(
        Cell(resource.get(field.name), field.human) if field.human else resource.get(field.name)
        for field in fields
    )


class Watcher:
    """The API and the options that a command gets."""

    app: Any

    @property
    def api(self) -> Api:
        return Api(getattr(self.app.client_manager, "infra-optim").http_client)


class Command(Watcher, command.Command):
    pass


class ShowOne(Watcher, command.ShowOne):
    FIELDS: Sequence[Field] = ()

    def shown(self, resource: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Any]]:
        return [field.label for field in self.FIELDS], row(self.FIELDS, resource)


class Table(Watcher, command.Lister):
    pass


class Lister(Table):
    """A list with the options that all lists of ``openstack optimize`` have."""

    SHORT: Sequence[Field] = ()
    FULL: Sequence[Field] = ()
    ITEM = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--detail", action="store_true", help="Show all fields.")
        parser.add_argument(
            "--limit",
            metavar="<limit>",
            type=int,
            action=parseractions.NonNegativeAction,
            help="Maximum number of items to return, 0 for no limit. Default is the maximum "
            "number used by the Watcher API service.",
        )
        parser.add_argument(
            "--marker",
            metavar=f"<{self.ITEM}>",
            help=f"UUID of the last {self.ITEM} of the previous page.",
        )
        parser.add_argument(
            "--sort-key", metavar="<field>", help="Field that the service sorts by."
        )
        parser.add_argument(
            "--sort-dir",
            metavar="<direction>",
            choices=["asc", "desc"],
            help='Sort direction: "asc" or "desc".',
        )
        return parser

    def listed(
        self, parsed_args: argparse.Namespace, *path: str, **filters: Any
    ) -> tuple[Sequence[str], Iterable[Any]]:
        """The items at *path*, sorted and limited by the options."""
        fields = self.FULL if parsed_args.detail else self.SHORT
        names = {field.label: field.name for field in self.FULL}
        items = self.api.items(
            *path,
            limit=parsed_args.limit,
            marker=parsed_args.marker,
            sort_key=names.get(parsed_args.sort_key, parsed_args.sort_key),
            sort_dir=parsed_args.sort_dir,
            **filters,
        )
        return [field.label for field in fields], [row(fields, item) for item in items]


def add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audit", metavar="<audit>", help="Name or UUID of the EVENT audit.")


def pair(text: str, form: str, separator: str = "=") -> tuple[str, str]:
    """The two parts of an option's value.  CommandError says which *form* it should have."""
    name, found, value = text.partition(separator)
    if not (name.strip() and found):
        raise exceptions.CommandError(f'Expected {form}, got "{text}"')
    return name.strip(), value.strip()
