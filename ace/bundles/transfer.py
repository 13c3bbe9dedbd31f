"""Downloads one file over HTTP; an interrupted transfer is resumed where it stopped, also in a later process.

(huggingface_hub from 2.x on throws away partial files when a process ends; a text encoder has ten gigabytes.)
"""

from __future__ import annotations

import http.client
import logging
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes
TIMEOUT = 30.0  # seconds without a byte
RETRIES = 5  # in a row without progress
BACKOFF = 1.0  # seconds before the first retry, doubled for each after it

_INTERRUPTIONS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class HttpStatusError(OSError):
    """The server answered with an HTTP status that is an error.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, url: str) -> None:
        super().__init__(f"HTTP {status} for {url}")
        self.status = status


def fetch(
    url: str, part: Path, size: int, *, headers: Mapping[str, str], report: Callable[[int], None] = lambda done: None
) -> None:
    """Brings ``part`` to ``size`` bytes, keeping those it has; on any error it keeps what has arrived.

    Args:
        url: http or https; an authorization header is not passed on to other hosts.
        part: the partial file; need not exist.
        size: bytes of the whole file.
        headers: sent with every request.
        report: called with the number of bytes that are there; may raise to cancel.

    Raises:
        HttpStatusError: the server refuses the file (401, 403, 404 …).
        OSError: the connection fails again and again, or the disk cannot be written.
    """
    done = part.stat().st_size if part.exists() else 0
    if done > size:  # of another version; cannot be continued
        part.unlink()
        done = 0
    report(done)
    failures = 0
    while done < size or not part.exists():
        before = done
        try:
            _append(url, part, done, size, headers, report)
            problem: Exception | str = "the connection was closed early"
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429) and error.code < 500:
                raise HttpStatusError(error.code, url) from None
            problem = error
        except _INTERRUPTIONS as error:
            problem = error
        done = part.stat().st_size if part.exists() else 0
        if done >= size and part.exists():
            break
        failures = 0 if done > before else failures + 1
        if failures > RETRIES:
            raise OSError(f"{url} broke off at {done} of {size} bytes: {problem}")
        logger.warning("%s broke off at %d of %d bytes (%s); continuing", url, done, size, problem)
        time.sleep(BACKOFF * 2 ** max(failures - 1, 0))


def _append(
    url: str, part: Path, start: int, size: int, headers: Mapping[str, str], report: Callable[[int], None]
) -> None:
    """One request for the bytes from ``start`` on."""
    request = urllib.request.Request(url, headers={**headers, "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _opener().open(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206
        done = start if resumed else 0  # a server that ignores the range sends everything
        with part.open("ab" if resumed else "wb") as file:
            while done < size and (chunk := response.read(min(CHUNK, size - done))):
                file.write(chunk)
                done += len(chunk)
                report(done)


class _DropAuthorizationOnRedirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but tells another host (a storage server) nothing that was meant for the first."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


def _opener() -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:  # the system's certificates alone
        pass
    else:
        context.load_verify_locations(certifi.where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _DropAuthorizationOnRedirect)
