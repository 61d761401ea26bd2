"""A request that is not answered with a result."""

from __future__ import annotations


class Refused(Exception):
    """The status and the text that the client gets.

    Attributes:
        status: HTTP's.
        message: states the limit or the fault, and what to do.
        retry_after_s: when to try again; None if it would not help.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
