"""Encrypts the secrets that the database keeps, with a key that it does not have."""

from cryptography.fernet import Fernet, InvalidToken

from app.errors import BadConfiguration

NAME = "TALLYHOOK_SECRET_KEY"
"""The setting that has the key."""

RIGHT = "32 random bytes in base64, as `openssl rand -base64 32` prints"


class Encryption:
    """Encrypts and decrypts texts with one key (Fernet: AES-128-CBC and HMAC-SHA256); without one it refuses to."""

    def __init__(self, key: str | None) -> None:
        self._fernet = None if key is None else Fernet(key)

    def encrypt(self, text: str) -> str:
        """What the database may keep of a secret; raises ``BadConfiguration`` without a key."""
        return self._key().encrypt(text.encode()).decode()

    def decrypt(self, kept: str) -> str:
        """The secret; raises ``BadConfiguration`` without a key, or if it was encrypted with another one."""
        try:
            return self._key().decrypt(kept).decode()
        except InvalidToken:
            raise BadConfiguration(
                f"a secret was encrypted with another key than {NAME}: set the one from then"
            ) from None

    def _key(self) -> Fernet:
        if self._fernet is None:
            raise BadConfiguration(f"{NAME} is not set, and secrets are kept encrypted only: set it to {RIGHT}")
        return self._fernet


def key_problem(key: str) -> str | None:
    """What is wrong with a key; never shows it."""
    try:
        Fernet(key)
    except ValueError:  # binascii's as well
        return f"must be {RIGHT}"
    return None
