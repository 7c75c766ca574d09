"""Pages about dead letters and replays."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from app.domain import Role
from app.domain.decoding import decode
from app.errors import InvalidRequest
from app.flows.deps import Deps
from app.flows.letters import letter_actions, letters, replay
from app.flows.letters.preview import preview
from app.web.heavy import HeavyReads
from app.web.pages.shared import PAGE, Shown, acting, acting_on, before_of, filter_of, id_of, older, showing

LETTERS = "/dead-letters"
REPLAYS = "/replays"


def letter_routes(deps: Deps, heavy: HeavyReads) -> list[Route]:
    """The routes of these pages."""
    return [
        Route(LETTERS, showing(deps, _list, heavy=heavy), methods=["GET"]),
        Route(LETTERS + "/preview", showing(deps, _preview, Role.OPERATOR, heavy=heavy), methods=["GET"]),
        Route(LETTERS + "/replay", acting(deps, _replay_many, heavy=heavy), methods=["POST"]),
        Route(LETTERS + "/discard", acting(deps, _discard_many, heavy=heavy), methods=["POST"]),
        Route(LETTERS + "/{id:int}", showing(deps, _show), methods=["GET"]),
        Route(LETTERS + "/{id:int}/replay", acting(deps, _replay_one), methods=["POST"]),
        Route(LETTERS + "/{id:int}/discard", acting(deps, _discard_one), methods=["POST"]),
        Route(
            LETTERS + "/{id:int}/restore", acting(deps, acting_on(letter_actions.restore, LETTERS)), methods=["POST"]
        ),
        Route(LETTERS + "/{id:int}/args", acting(deps, _edit), methods=["POST"]),
        Route(REPLAYS, showing(deps, _replays, heavy=heavy), methods=["GET"]),
        Route(REPLAYS + "/{id:int}", showing(deps, _show_replay), methods=["GET"]),
        Route(REPLAYS + "/{id:int}/abort", acting(deps, acting_on(replay.abort_replay, REPLAYS)), methods=["POST"]),
    ]


def _list(deps: Deps, request: Request) -> Shown:
    text = filter_of(request)
    page = letters.find(deps, text, limit=PAGE, before_id=before_of(request))
    return Shown(
        "letters.html",
        filter=text,
        totals=page.totals,
        sentence=letters.sentence(page.totals),
        rows=page.rows,
        causes=letters.groups_by_cause(deps, text, limit=10).rows,
        items=letters.groups_by_item(deps, text, limit=10).rows,
        older=older(LETTERS, page.rows, text),
        rate=replay.RATE,
    )


def _preview(deps: Deps, request: Request) -> Shown:
    text = filter_of(request)
    return Shown("preview.html", filter=text, found=preview(deps, text), rate=replay.RATE)


def _show(deps: Deps, request: Request) -> Shown:
    letter = letters.show(deps, id_of(request))
    return Shown("letter.html", letter=letter, args=msgspec.json.encode(letter.args).decode())


def _replay_many(deps: Deps, request: Request, form: dict[str, str]) -> str:
    rate = form.get("rate", "")
    if not (rate.isascii() and rate.isdigit() and len(rate) < 7):
        raise InvalidRequest("the rate must be a number of items per second")
    text, name = form.get("filter", ""), form.get("name", "")
    return f"{REPLAYS}/{replay.replay_letters(deps, text, name, rate=int(rate), canary='canary' in form)}"


def _replay_one(deps: Deps, request: Request, form: dict[str, str]) -> str:
    return f"{REPLAYS}/{replay.replay_letter(deps, id_of(request))}"


def _discard_many(deps: Deps, request: Request, form: dict[str, str]) -> str:
    letter_actions.discard(deps, form.get("filter", ""), form.get("why", ""))
    return f"{LETTERS}?{urlencode({'filter': 'state:discarded since:1d'})}"


def _discard_one(deps: Deps, request: Request, form: dict[str, str]) -> str:
    letter_actions.discard(deps, f"id:{id_of(request)}", form.get("why", ""))
    return f"{LETTERS}/{id_of(request)}"


def _edit(deps: Deps, request: Request, form: dict[str, str]) -> str:
    try:
        args = decode(form.get("args", ""), list[Any])
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest('the arguments must be a JSON list: ["<connection>", "product", "A"]') from None
    letter_actions.edit_args(deps, id_of(request), args, form.get("why", ""))
    return f"{LETTERS}/{id_of(request)}"


def _replays(deps: Deps, request: Request) -> Shown:
    rows = replay.list_replays(deps, limit=PAGE, before_id=before_of(request))
    return Shown("replays.html", rows=rows, older=older(REPLAYS, rows))


def _show_replay(deps: Deps, request: Request) -> Shown:
    return Shown("replay.html", one=replay.show_replay(deps, id_of(request)))
