"""Operations about subscribers: other programs to which every change is sent."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from app.domain import Kind, Role
from app.flows.deps import Deps
from app.flows.subscribers import subscribers
from app.flows.subscribers.subscribers import Created, SubscriberView, Tested
from app.web.api.operation import Operations
from app.web.api.params import Params, Text
from app.web.api.responses import Answer, Row

SUBSCRIBERS = "/api/subscribers"
ONE = SUBSCRIBERS + "/{id:int}"

SubscriberId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a subscriber's number")]


class NewSubscriber(Params, frozen=True, kw_only=True):
    """Who is to get every change of these connections and kinds, from now on; null means all."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
    url: Annotated[Text, Meta(description="http or https, without a user", examples=["https://example.com/changes"])]
    connections: Annotated[list[Text], Meta(max_length=100)] | None = None
    kinds: Annotated[list[Kind], Meta(max_length=100)] | None = None


class Subscribers(Answer, frozen=True):
    """Every subscriber."""

    rows: Sequence[Row]


operations = Operations()


@operations.get(SUBSCRIBERS, "in the order of their numbers", role=Role.ADMIN)
def list_subscribers(deps: Deps) -> Subscribers:
    """Every program that changes are sent to."""
    return Subscribers(subscribers.list_subscribers(deps))


@operations.post(SUBSCRIBERS, "the subscriber; its secret is shown only here", role=Role.ADMIN, status=201)
def create_subscriber(deps: Deps, params: NewSubscriber) -> Created:
    """Send every change from now on to a URL; only this answer shows the secret."""
    return subscribers.create(deps, params.name, params.url, connections=params.connections, kinds=params.kinds)


@operations.get(ONE, "what it wants, how far it has come, and how it fails", role=Role.ADMIN)
def show_subscriber(deps: Deps, id: SubscriberId) -> SubscriberView:
    """One program that changes are sent to."""
    return subscribers.show(deps, id)


@operations.delete(ONE, "what it was", role=Role.ADMIN)
def delete_subscriber(deps: Deps, id: SubscriberId) -> SubscriberView:
    """Forget a subscriber and its secret."""
    return subscribers.delete(deps, id)


@operations.post(ONE + "/test", "what it answered", role=Role.ADMIN, errors=(422,))
def test_subscriber(deps: Deps, id: SubscriberId) -> Tested:
    """Send a signed message of the type `test` now."""
    return subscribers.send_test(deps, id)


@operations.post(ONE + "/pause", "it is paused", role=Role.ADMIN)
def pause_subscriber(deps: Deps, id: SubscriberId) -> SubscriberView:
    """Send nothing until it is resumed."""
    return subscribers.pause(deps, id)


@operations.post(ONE + "/resume", "it is on", role=Role.ADMIN)
def resume_subscriber(deps: Deps, id: SubscriberId) -> SubscriberView:
    """Send everything since its last batch, from now on."""
    return subscribers.resume(deps, id)
