"""The bytes at an address, and plain words for all that can go wrong on the way."""

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from cnnc.diagnostics import CnncError, Code, Diagnostic

SLOWEST = 1024  # bytes a second, on the whole
CHUNK = 1 << 18


class Unfetched(CnncError):
    """Why one address did not give its file: E509, though another address may still give it."""

    def __init__(self, reason: str) -> None:
        super().__init__([Diagnostic(Code.DOWNLOAD_FAILED, reason)])
        self.reason = reason


def chunks(url: str, timeout: float) -> Iterator[bytes]:
    """The bytes at an http or https address, as they come; raises Unfetched.

    `timeout` is in seconds: so long may the server be silent, and after it the whole must not be slower than SLOWEST.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise Unfetched("the address is not one of http or https")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cnnc"})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            yield from _body(response, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unfetched(_words(error, timeout)) from error


def _body(response: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
    start, size = time.monotonic(), 0
    while chunk := response.read1(CHUNK):
        yield chunk
        size += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed > timeout and size < SLOWEST * elapsed:
            raise Unfetched(f"the server sends too slowly: {size:,} bytes in {elapsed:.0f} s")


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {timeout:g} s"
    if isinstance(cause, socket.gaierror):
        return "there is no network, or no such server: its name is not known"
    if isinstance(cause, ssl.SSLError):
        return f"the connection cannot be trusted: {cause.reason or cause}"
    if isinstance(cause, http.client.HTTPException):
        return f"the server's answer is no HTTP: {str(cause) or type(cause).__name__}"
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()
