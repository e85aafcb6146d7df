"""Download over HTTP, with a plain message for every error of the network or the server."""

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from cnnc.diagnostics import CnncError, Code, Diagnostic

SLOWEST = 1024  # bytes per second, on average
CHUNK = 1 << 18


class Unfetched(CnncError):
    """The download from one address failed (E509); another address may still work."""

    def __init__(self, reason: str) -> None:
        super().__init__([Diagnostic(Code.DOWNLOAD_FAILED, reason)])
        self.reason = reason


def chunks(url: str, timeout: float) -> Iterator[bytes]:
    """Yield the bytes at an http or https address as they arrive; raises Unfetched.

    The server may be silent for `timeout` seconds; after that time the average speed must be at least SLOWEST.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise Unfetched("the address must begin with http:// or https://")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cnnc"})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            yield from _body(response, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unfetched(_message(error, timeout)) from error


def _body(response: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
    start, size = time.monotonic(), 0
    while chunk := response.read1(CHUNK):
        yield chunk
        size += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed > timeout and size < SLOWEST * elapsed:
            raise Unfetched(f"the server is too slow: {size:,} bytes in {elapsed:.0f} s")


def _message(error: Exception, timeout: float) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {timeout:g} s"
    if isinstance(cause, socket.gaierror):
        return "cannot resolve the server's name: there is no network, or no such server"
    if isinstance(cause, ssl.SSLError):
        return f"the connection cannot be trusted: {cause.reason or cause}"
    if isinstance(cause, http.client.HTTPException):
        return f"the server's answer is not valid HTTP: {str(cause) or type(cause).__name__}"
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()
