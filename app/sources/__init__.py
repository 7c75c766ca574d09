"""The vendors: one folder each, found by looking, so that a new vendor is one new folder.

A vendor's folder is a package with ``connect(context, options) -> Source``, and its name is the source's name. Every
package directly below this one is a vendor, except for ``simulating``, which all simulators share.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from app.domain.nearest import unknown
from app.errors import BadConfiguration
from app.sources.base import Context, Source
from app.sources.setup import Setup

_SHARED = "simulating"


def names() -> list[str]:
    """The sources this installation knows, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg and module.name != _SHARED)


def connect(source: str, context: Context, options: Mapping[str, str]) -> Source:
    """Build the client for one connection; raises ``BadConfiguration`` for an unknown source or option."""
    if source not in names():
        raise BadConfiguration(f"connection {context.connection!r}: {unknown('source', source, names())}")
    module = importlib.import_module(f"{__name__}.{source}")
    connected: Source = module.connect(context, options)
    return connected


def setup(source: str) -> Setup:
    """The questions for a new connection; raises ``BadConfiguration`` for an unknown source."""
    questions: Setup = _module(source, "setup").SETUP
    return questions


def simulator(source: str, options: Mapping[str, str]) -> Any:
    """The ASGI application of a source's simulator; raises ``BadConfiguration`` for an unknown source."""
    return _module(source, "simulator").create(options)


def demo(source: str, base_url: str, webhook_url: str) -> tuple[dict[str, str], dict[str, str]]:
    """The options of a source's simulator, and of a connection to it, for a trial without an account."""
    options: tuple[dict[str, str], dict[str, str]] = _module(source, "simulator").demo(base_url, webhook_url)
    return options


def fast_options(source: str) -> tuple[dict[str, str], dict[str, str]]:
    """Options of a simulator and of a connection to it that turn hours into minutes: no limits, a short day."""
    options: tuple[dict[str, str], dict[str, str]] = _module(source, "simulator").fast_options()
    return options


def _module(source: str, name: str) -> Any:
    if source not in names():
        raise BadConfiguration(unknown("source", source, names()))
    return importlib.import_module(f"{__name__}.{source}.{name}")
