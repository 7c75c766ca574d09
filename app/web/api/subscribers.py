"""Operations about subscribers: other programs to which every change is sent."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from app.domain import Kind, Role
from app.domain.decoding import convert
from app.flows.deps import Deps
from app.flows.subscribers import subscribers
from app.flows.subscribers.subscribers import SubscriberView
from app.web.api.operation import Operations
from app.web.api.params import Params, Text
from app.web.api.responses import Answer

SUBSCRIBERS = "/api/subscribers"
ONE = SUBSCRIBERS + "/{id:int}"

SubscriberId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a subscriber's number")]


class NewSubscriber(Params, frozen=True, kw_only=True):
    """Who is to get every change of these connections and kinds, from now on; null means all."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
    url: Annotated[Text, Meta(description="http or https, without a user", examples=["https://example.com/changes"])]
    connections: Annotated[list[Text], Meta(max_length=100)] | None = None
    kinds: Annotated[list[Kind], Meta(max_length=100)] | None = None


class Subscriber(Answer, frozen=True):
    """A subscriber without its secret; ``cursor`` is the place in the feed behind what it has accepted."""

    id: int
    name: str
    url: str
    connections: tuple[str, ...] | None
    kinds: tuple[Kind, ...] | None
    enabled: bool
    cursor: str
    created_at: datetime
    created_by: str
    last_success_at: datetime | None
    failing_since: datetime | None
    next_at: datetime | None
    attempts: int
    last_error: str | None


class Subscribers(Answer, frozen=True):
    """Every subscriber."""

    rows: list[Subscriber]


class CreatedSubscriber(Answer, frozen=True):
    """A new subscriber; its secret is shown only here."""

    subscriber: Subscriber
    secret: str


class TestedSubscriber(Answer, frozen=True):
    """Whether a test message was accepted, and what was answered."""

    accepted: bool
    said: str


operations = Operations()


@operations.get(SUBSCRIBERS, "in the order of their numbers", role=Role.ADMIN)
def list_subscribers(deps: Deps) -> Subscribers:
    """Every program that changes are sent to."""
    return Subscribers([_answer(one) for one in subscribers.list_subscribers(deps)])


@operations.post(SUBSCRIBERS, "the subscriber; its secret is shown only here", role=Role.ADMIN, status=201)
def create_subscriber(deps: Deps, params: NewSubscriber) -> CreatedSubscriber:
    """Send every change from now on to a URL; only this answer shows the secret."""
    created = subscribers.create(deps, params.name, params.url, connections=params.connections, kinds=params.kinds)
    return CreatedSubscriber(_answer(created.subscriber), created.secret)


@operations.get(ONE, "what it wants, how far it has come, and how it fails", role=Role.ADMIN)
def show_subscriber(deps: Deps, id: SubscriberId) -> Subscriber:
    """One program that changes are sent to."""
    return _answer(subscribers.show(deps, id))


@operations.delete(ONE, "what it was", role=Role.ADMIN)
def delete_subscriber(deps: Deps, id: SubscriberId) -> Subscriber:
    """Forget a subscriber and its secret."""
    return _answer(subscribers.delete(deps, id))


@operations.post(ONE + "/test", "what it answered", role=Role.ADMIN, errors=(422,))
def test_subscriber(deps: Deps, id: SubscriberId) -> TestedSubscriber:
    """Send a signed message of the type `test` now."""
    tested = subscribers.send_test(deps, id)
    return TestedSubscriber(tested.accepted, tested.said)


@operations.post(ONE + "/pause", "it is paused", role=Role.ADMIN)
def pause_subscriber(deps: Deps, id: SubscriberId) -> Subscriber:
    """Send nothing until it is resumed."""
    return _answer(subscribers.pause(deps, id))


@operations.post(ONE + "/resume", "it is on", role=Role.ADMIN)
def resume_subscriber(deps: Deps, id: SubscriberId) -> Subscriber:
    """Send everything since its last batch, from now on."""
    return _answer(subscribers.resume(deps, id))


def _answer(view: SubscriberView) -> Subscriber:
    return convert(view, Subscriber, from_attributes=True)
