"""Mail to the people in charge, through SendGrid's v3 API."""

import urllib.error
from collections.abc import Callable, Sequence

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

from app.errors import Unavailable

TIMEOUT = 10  # seconds


def mail_sender(key: str, host: str, sender: str, to: Sequence[str]) -> Callable[[str, str], None]:
    """A function that mails a subject and a plain text to all of ``to``; it raises ``Unavailable`` where that fails."""
    client = SendGridAPIClient(api_key=key, host=host)
    client.client.timeout = TIMEOUT

    def send(subject: str, text: str) -> None:
        mail = Mail(from_email=sender, to_emails=list(to), subject=subject, plain_text_content=text)
        try:
            client.send(mail)
        except (HTTPError, urllib.error.URLError, OSError) as error:
            raise Unavailable(f"the mail service did not take a mail: {type(error).__name__}: {error}") from None

    return send
