"""One file from its address: resumed where it stopped, checked, and under its name only once it is whole."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from weft.files import DamagedFile, digest, read_json, write_json

Advance = Callable[[str, int, int], None]  # a file's name, how many bytes of it are here, of how many (0: not known)

_CHUNK = 1 << 18
_MOST = 4 << 30  # bytes of a file whose size nobody told
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_BUSY = (408, 425, 429)  # statuses of a server that may answer otherwise in a while, as are those from 500 on


class FetchError(ValueError):
    """What befell a download: names the address, both values where two disagree, and the way out."""


class _Cut(Exception):
    """A connection that ended early, or a server that could not answer now: worth another attempt."""


class Expected(NamedTuple):
    """The digest that a file must have. said: who says so, and what to do where it has another; ends the error."""

    sha256: str
    said: str


@dataclass(frozen=True)
class Patience:
    """timeout: seconds without a byte; pause: seconds before the second attempt, twice as many before the third."""

    timeout: float = 30.0
    attempts: int = 3
    pause: float = 1.0


def nothing(name: str, done: int, total: int) -> None:
    """Shows no progress."""


def check_address(address: str) -> None:
    """ValueError where it is not of http or https."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the address {address!r} is not of http:// or https://, which alone are fetched")


def download(
    address: str,
    final: Path,
    *,
    expected: Expected | None = None,
    size: int | None = None,
    most: int = _MOST,
    advance: Advance = nothing,
    patience: Patience | None = None,
) -> str:
    """Fetch `address` to `final`; the sha256 of what came. FetchError, or OSError of the disk: `final` is as it was.

    Until all is here and checked it lies in `final` + ".part", and the next call goes on from there: with a Range,
    where a digest is expected or the server named the version that was begun (a strong ETag); else, and where the
    server ignores it, from the beginning. size: exactly so many bytes; most: at most so many where none is given.
    """
    check_address(address)
    patience = patience or Patience()
    final.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(final.with_name(final.name + ".part"), address, expected is not None)
    for attempt in range(1, patience.attempts + 1):
        begun, resumed = part.begun()[0], True
        try:
            if not begun or begun != size:
                resumed = _transfer(part, size, most, advance, patience.timeout)
        except _Cut as cut:
            if attempt == patience.attempts:
                raise FetchError(
                    f"{address} could not be fetched, in {attempt} attempts ({cut}): try again, what came is kept"
                ) from cut.__cause__
            time.sleep(patience.pause * attempt)
            continue
        found = digest(part.path)
        if expected is None or found == expected.sha256:
            part.finish(final)
            return found
        part.discard()
        if not resumed or attempt == patience.attempts:  # else what was begun another time may be what is wrong
            raise FetchError(f"{address} has the sha256 {found}, and not {expected.sha256}: {expected.said}")
    raise AssertionError("an attempt returns or raises")


@dataclass(frozen=True)
class _Part:
    """What is here of a file, and beside it of which address and version it is."""

    path: Path
    address: str
    checked: bool  # a digest will tell whether the pieces belong together

    def begun(self) -> tuple[int, str | None]:
        """How many bytes can be gone on from, and the version that they must be of, where one is known."""
        try:
            about = read_json(self._about)
            size, version = self.path.stat().st_size, about["version"]
        except (OSError, DamagedFile, KeyError, TypeError):
            return 0, None
        known = about.get("address") == self.address and (self.checked or version is not None)
        return (size, version) if known else (0, None)

    def begin(self, version: str | None) -> None:
        write_json(self._about, {"address": self.address, "version": version})

    def write(self, file: IO[bytes], data: bytes) -> None:
        try:
            file.write(data)
            file.flush()  # here, since closing the file would report a full disk without the file's name
        except OSError as error:
            error.filename = str(self.path)
            raise

    def finish(self, final: Path) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(final)
        self._about.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    @property
    def _about(self) -> Path:
        return self.path.with_name(self.path.name + ".json")


class _Redirects(HTTPRedirectHandler):
    """Follows to the same scheme, and from http to https; never the other way, and to nothing else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise FetchError(
                f"{req.full_url} leads to {newurl}, from {old} to {new}: only the same, or https after http, is "
                "followed; fetch it yourself if you trust that"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """Of http and https alone: urllib's own also opens file:, ftp: and data:."""
    opener = OpenerDirector()
    handlers = (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor)
    for handler in (*handlers, _Redirects):
        opener.add_handler(handler())
    return opener


def _transfer(part: _Part, size: int | None, most: int, advance: Advance, timeout: float) -> bool:
    """Bring the rest of a file; whether it was gone on with. _Cut where another attempt may do better."""
    start, version = part.begun()
    with _answer(part, start, version, timeout) as response:
        start = _start(part, response, start)
        length = None if response.length is None else start + response.length
        if length is None and not response.chunked and size is None and not part.checked:
            raise FetchError(
                f"{part.address} comes without its length, and nobody published its digest: whether it came whole "
                "cannot be told; fetch it yourself"
            )
        _check_size(part, size, most, length)
        tag = response.headers.get("ETag")
        part.begin(tag if tag and not tag.startswith("W/") else None)
        done = _receive(part, response, start, length, most if size is None else size, advance)
    whole = length if size is None else size
    if whole is not None and done < whole:
        raise _Cut(f"the connection ended after {done:,} of {whole:,} bytes")
    return start > 0


def _answer(part: _Part, start: int, version: str | None, timeout: float) -> HTTPResponse:
    """The response to the request for what comes after the first `start` bytes."""
    headers = {"User-Agent": "weft", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
    try:
        return _opener().open(Request(part.address, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        said = f"{error.code} {' '.join(str(error.reason).split())}"
        if error.code == 416 and start:
            part.discard()
            raise _Cut(f"it has nothing after byte {start:,}, and answered {said}") from error
        if error.code >= 500 or error.code in _BUSY:
            raise _Cut(f"it answered {said}") from error
        raise FetchError(
            f"{part.address} answered {said}, where a file should be: it was moved or removed; look for its new place "
            "and fetch it yourself"
        ) from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"{part.address} has no certificate that is trusted here ({reason}): nothing is fetched without one; "
                "SSL_CERT_FILE names those of your network"
            ) from error
        raise _Cut(f"no answer: {str(reason) or type(reason).__name__}") from error


def _start(part: _Part, response: HTTPResponse, asked: int) -> int:
    """From which byte on the file comes; the part is emptied where that is the first."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if response.status not in (200, 206) or encoding != "identity":
        raise FetchError(
            f"{part.address} answered {response.status}, encoded as {encoding}, where 200 and the file's own bytes "
            "were expected: fetch it yourself"
        )
    if response.status == 200:  # no Range is known here, or the version is another
        part.path.unlink(missing_ok=True)
        return 0
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != asked:
        part.discard()
        raise _Cut(f"bytes from {asked:,} on were asked for, and {response.headers.get('Content-Range')!r} came")
    return asked


def _check_size(part: _Part, size: int | None, most: int, length: int | None) -> None:
    """FetchError where a file's length is not the known one, or is too much."""
    if size is not None and length is not None and length != size:
        part.discard()
        raise FetchError(
            f"{part.address} has {length:,} bytes, and not {size:,}: it is another file now; look for its new place"
        )
    if size is None and length is not None and length > most:
        part.discard()
        raise FetchError(f"{part.address} has {length:,} bytes, more than the {most:,} that are fetched unasked")


def _receive(part: _Part, response: HTTPResponse, start: int, length: int | None, most: int, advance: Advance) -> int:
    """Append what comes to the part, up to the `length` that the server gave, or to the end; how many bytes it has."""
    done, name = start, part.path.name.removesuffix(".part")
    with part.path.open("ab") as file:
        while length is None or done < length:
            try:
                data = response.read1(_CHUNK)
            except (OSError, HTTPException) as error:
                raise _Cut(f"the connection broke after {done:,} bytes ({type(error).__name__})") from error
            if not data:
                break
            done += len(data)
            if done > most:
                part.discard()
                raise FetchError(f"{part.address} has more than {most:,} bytes: it is another file now")
            part.write(file, data)
            advance(name, done, length or 0)
    return done
