"""One request for a file: https only, redirects to https only, every failure as a plain sentence."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any

from medai.core.errors import ModelError

STALL_SECONDS = 30.0
"""How long a server may send nothing before the connection counts as lost."""


class Interrupted(Exception):
    """The connection failed in a way that another try may cure; the text says how."""


def check_url(url: str) -> str:
    """Return the URL if a model may be loaded from it: https, or http from this computer itself.

    Raises
    ------
    ModelError
        Code DOWNLOAD, for another scheme, a URL without host, or one with a password in it.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise failed("The address cannot be read") from None
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise failed("The address holds a space or a control character")
    if not host or parts.scheme not in ("https", "http"):
        raise failed("Only addresses that start with https:// can be loaded")
    if parts.username is not None or parts.password is not None:
        raise failed("An address with a user's name or password in it is not used", "Load the file with a browser.")
    if parts.scheme == "http" and not is_local(host):
        raise failed(f"{host} is asked for by http, which anybody on the way can change", "Use the https address.")
    return url


def is_local(host: str) -> bool:
    """Tell whether a host name is this computer."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def failed(reason: str, hint: str = "", *, code: str = "DOWNLOAD") -> ModelError:
    """Return the error of a download that another try will not cure."""
    return ModelError(f"{reason}.", hint=hint, code=code)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        # From https never back to http, not even on this computer; and nowhere but http(s).
        if urllib.parse.urlsplit(newurl).scheme != "https" and req.type == "https":
            raise failed(f"{req.host} sends on to an address without https", "Do not use this source.")
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def send(url: str, headers: Mapping[str, str]) -> Any:
    """Ask for a URL and return the answer, an ``http.client.HTTPResponse``; 200, 206 and 416 are answers.

    Raises
    ------
    ModelError
        Code DOWNLOAD, if another try will not help.
    Interrupted
        If it may.
    """
    host = urllib.parse.urlsplit(check_url(url)).hostname or ""
    proxies = urllib.request.ProxyHandler({} if is_local(host) else None)
    opener = urllib.request.OpenerDirector()
    for handler in (
        proxies,
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "MedAI", "Accept-Encoding": "identity", **headers})
    try:
        return opener.open(request, timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error
        error.close()
        raise _refusal(host, error.code) from None
    except (OSError, http.client.HTTPException) as error:
        raise translated(error, host) from None


def translated(error: BaseException, host: str) -> Exception:
    """Return what a failed connection means: :class:`Interrupted`, or a ModelError if another try is of no use."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return translated(error.reason, host)
    if isinstance(error, ssl.SSLCertVerificationError):
        return failed(
            f"The certificate of {host} cannot be verified: {error.verify_message}",
            "Check the computer's clock; some networks replace certificates: ask their administrator.",
        )
    if isinstance(error, ssl.SSLError):
        return failed(f"No safe connection to {host} can be made: {error.reason or 'TLS failed'}")
    if isinstance(error, socket.gaierror):
        return Interrupted(f"the name {host} cannot be looked up: is there an internet connection")
    if isinstance(error, TimeoutError):
        return Interrupted(f"{host} does not answer")
    if isinstance(error, OSError) and "Tunnel connection failed" in str(error):
        return failed(f"The proxy refuses the connection to {host}", "Check the proxy's settings (HTTPS_PROXY).")
    if isinstance(error, ConnectionRefusedError):
        return Interrupted(f"{host} refuses the connection")
    return Interrupted(f"the connection to {host} broke ({type(error).__name__})")


def _refusal(host: str, status: int) -> Exception:
    if status in (408, 425, 429) or status >= 500:
        return Interrupted(f"{host} answers with status {status}")
    words = {
        401: "asks for a log-in",
        403: "does not allow it",
        404: "has no such file",
        407: "is behind a proxy that asks for a log-in",
        410: "has the file no more",
    }
    # What urllib itself does not follow: another scheme, a loop.
    other = "sends on to an address that is not allowed" if 300 <= status < 400 else f"answers with status {status}"
    reason = words.get(status, other)
    return failed(f"{host} {reason} ({status})", "Check the address; a newer catalogue may have another.")


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        # Some builds of Python find no certificates of the system: those of certifi are Mozilla's.
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context
