"""The terminal that commands print to; wide where it is none, so that a pipe gets whole lines."""

from __future__ import annotations

import sys

from rich.console import Console

console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
