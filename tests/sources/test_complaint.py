"""What a vendor says for itself when it refuses, short enough for a message."""

import pytest

from app.sources import complaint


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<title>401</title><h1>401 Unauthorized</h1>", "401 Unauthorized"),
        (b"<head><title>Not found</title></head><p>No such page</p>", "Not found No such page"),
        (b"<html>\n<title>Sign in</title> <body>Sign in &amp; go</body>", "Sign in & go"),
        (b"plain words", "plain words"),
        (b'{"errors": [{"code": "BAD", "detail": "Not so."}]}', "BAD: Not so."),
    ],
)
def test_a_complaint_is_reported_once(body: bytes, said: str) -> None:
    assert complaint.words(body) == said
