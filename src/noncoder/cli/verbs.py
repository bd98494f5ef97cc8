"""Checks of the command line that click does not make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from noncoder.errors import ConfigError, did_you_mean
from noncoder.machine import check_name


class Verb(click.Command):
    """A verb: an option that takes one value may be given only once, and its paths must be possible.

    If an option is unknown but is a key of a recipe, and the verb takes a recipe, the error offers KEY=VALUE.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the command line.

        Raises:
            ConfigError: An option is given twice.
            click.UsageError: The command line has another error.
        """
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise self._explained(error) from None
        if not ctx.resilient_parsing:
            self._check_once(ctx, given)
            self._check_paths(ctx)
        return rest

    def _check_once(self, ctx: click.Context, args: list[str]) -> None:
        parser = self.make_parser(ctx)
        seen = set()
        for parameter in parser.parse_args(args=args)[2]:
            single = isinstance(parameter, click.Option) and not (
                parameter.multiple or parameter.is_flag or parameter.count
            )
            if single and parameter in seen:
                raise ConfigError(
                    f"{parameter.opts[0]} is given twice", expected="one value",
                    hint=f"see `{ctx.command_path} --help`",
                )  # fmt: skip
            seen.add(parameter)

    def _check_paths(self, ctx: click.Context) -> None:
        for parameter in self.params:
            value: Any = ctx.params.get(parameter.name or "")
            if isinstance(parameter.type, click.Path) and value:
                for path in value if isinstance(value, tuple) else (value,):
                    check_name(Path(os.fsdecode(path)))

    def _explained(self, error: click.NoSuchOption) -> click.UsageError:
        if not any(parameter.name == "overrides" for parameter in self.params):
            return error
        from noncoder.config import RunConfig, nearest_keys

        name = error.option_name.lstrip("-")
        keys = nearest_keys(name.rpartition(".")[2], RunConfig)
        # click explains a misspelt option of the verb itself.
        if not keys or did_you_mean(name, [opt.lstrip("-") for one in self.params for opt in one.opts]):
            return error
        offered = " or ".join(f"{key}=VALUE" for key in keys)
        return click.UsageError(
            f"No such option: {error.option_name}. Settings of a recipe are given as KEY=VALUE: {offered}",
            error.ctx,
        )


class Verbs(click.Group):
    """A group of verbs."""

    command_class = Verb
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the requested verb.

        Raises:
            click.UsageError: No verb has this name; offers the nearest, and the verb that takes a named file.
        """
        if args and not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None and args[0][:1] != "-":
            from noncoder.kinds import what_is_there

            is_there, use = what_is_there(Path(args[0]))
            near = did_you_mean(args[0], self.list_commands(ctx))
            hint = near or (is_there and f"It {is_there}" + (f": {use}" if use else ""))
            ctx.fail(f"No such command {args[0]!r}. {hint}".rstrip())
        return super().resolve_command(ctx, args)
