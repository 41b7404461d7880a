"""`echo-asr recipes`."""

from __future__ import annotations

import argparse

from echo_asr.commands.arguments import Parser, Subparsers, add_command


def add(commands: Subparsers[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "recipes", "list the configurations that ship with Echo, to train with by name", run)
    parser.epilog = "echo-asr train NAME --corpus CORPUS --out RUN trains with one; a YAML file of your own goes, too."


def run(arguments: argparse.Namespace) -> None:
    """Print each recipe and what it is for."""
    from echo_asr.train.recipe import list_recipes

    recipes = list_recipes()
    width = max(map(len, recipes))
    for name, purpose in recipes.items():
        print(f"{name:{width}}  {purpose}")
