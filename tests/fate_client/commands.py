"""The names of all commands of `flow`, one a line."""

import click

from fate_client.flow_cli.flow import flow_cli


def walk(command, words):
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            walk(child, words + [name])
    else:
        print(" ".join(words))


walk(flow_cli, [])
