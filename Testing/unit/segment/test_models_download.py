"""Downloads from a server that drops, lies, ignores and hangs."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from medai.core.errors import Cancelled, ChecksumError, ModelError, OutputError
from medai.core.progress import CancelToken
from medai.segment.models import request
from medai.segment.models.download import Patience, download
from medai.segment.models.request import check_url, translated

DATA = os.urandom(600_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
QUICK = Patience(tries=4, first_pause=0.01, longest_pause=0.02)


class Server(ThreadingHTTPServer):
    """Serves DATA under every path, and misbehaves as its fields say."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.data, self.etag, self.date = DATA, '"one"', ""
        self.drop_after = []  # bytes after which the n-th answer breaks off
        self.ranges = True
        self.length = None
        self.statuses = []
        self.location = ""
        self.hang = threading.Event()
        self.hang_at = None
        self.type = "application/zip"
        self.wrong_start = False

    def url(self, path="/model.zip"):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        s = self.server
        s.requests.append(dict(self.headers))
        if s.hang_at == "headers":
            s.hang.wait(20)
        if s.location and self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", s.location)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if s.statuses:
            self.send_response(s.statuses.pop(0))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = 0
        wanted = self.headers.get("Range")
        if wanted and s.ranges and self.headers.get("If-Range") in (s.etag, s.date):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(s.data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            first = start + 7 if s.wrong_start else start
            self.send_header("Content-Range", f"bytes {first}-{len(s.data) - 1}/{len(s.data)}")
        else:
            self.send_response(200)
        body = s.data[start:]
        if s.etag:
            self.send_header("ETag", s.etag)
        if s.date:
            self.send_header("Last-Modified", s.date)
        self.send_header("Content-Type", s.type)
        self.send_header("Content-Length", str(s.length if s.length is not None else len(body)))
        self.end_headers()
        cut = s.drop_after.pop(0) if s.drop_after else None
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if s.hang_at == "body":
            s.hang.wait(20)
        if cut is not None or s.length is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server():
    found = Server()
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    found.hang.set()
    found.shutdown()
    found.server_close()


def get(server, folder, **more):
    return download(server.url(), folder, patience=more.pop("patience", QUICK), **more)


def test_a_file_is_loaded_whole_with_progress(server, tmp_path):
    seen = []
    path = get(server, tmp_path, bytes=len(DATA), sha256=SHA256, progress=lambda f, text: seen.append((f, text)))
    assert path.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [path]
    fractions = [f for f, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("of 0.6 MB" in text for _, text in seen)


def test_a_dropped_connection_is_resumed_where_it_broke(server, tmp_path):
    server.drop_after = [200_000, 150_000]
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA
    assert len(server.requests) == 3
    starts = [int(r["Range"].removeprefix("bytes=").rstrip("-")) for r in server.requests[1:]]
    assert 0 < starts[0] < starts[1] <= 350_000
    assert server.requests[1]["If-Range"] == '"one"'


def test_a_later_call_goes_on_with_what_is_kept(server, tmp_path):
    server.drop_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"cannot be loaded.*are kept") as caught:
        get(server, tmp_path)
    assert caught.value.code == "INTERRUPTED"
    assert any(path.suffix == ".part" for path in tmp_path.iterdir())
    server.drop_after = []
    before = len(server.requests)
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA
    assert "Range" in server.requests[before]
    assert [path.suffix for path in tmp_path.iterdir()] == [".file"]


def test_a_file_that_changed_meanwhile_is_loaded_anew(server, tmp_path):
    server.drop_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        get(server, tmp_path)
    server.drop_after, server.etag, server.data = [], '"two"', DATA[::-1]
    assert get(server, tmp_path).read_bytes() == DATA[::-1]


@pytest.mark.parametrize("fault", ["no range", "no validator", "weak"])
def test_without_safe_resume_it_starts_again(server, tmp_path, fault):
    server.ranges = fault != "no range"
    server.etag = {"no validator": "", "weak": 'W/"one"'}.get(fault, '"one"')
    server.drop_after = [300_000]
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA
    assert ("Range" in server.requests[1]) == (fault == "no range")


def test_the_date_serves_where_there_is_no_etag(server, tmp_path):
    server.etag, server.date = "", "Sun, 22 Nov 2026 10:00:00 GMT"
    server.drop_after = [300_000]
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA
    assert server.requests[1]["If-Range"] == server.date


def test_another_part_than_asked_for_is_not_put_together(server, tmp_path):
    server.drop_after, server.wrong_start = [300_000], True
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA
    assert "Range" not in server.requests[2]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    server.drop_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        get(server, tmp_path)
    server.drop_after, server.data = [], DATA[:1000]
    assert get(server, tmp_path).read_bytes() == DATA[:1000]


def test_a_server_that_always_breaks_is_not_asked_for_ever(server, tmp_path):
    server.etag, server.drop_after = "", [1000] * 50
    with pytest.raises(ModelError, match="cannot be loaded"):
        get(server, tmp_path)
    assert len(server.requests) <= 2 * QUICK.tries


def test_a_length_that_lies_is_a_broken_connection(server, tmp_path):
    server.length = len(DATA) + 10
    with pytest.raises(ModelError, match="broke after"):
        get(server, tmp_path, patience=Patience(1, 0.01, 0.01))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"sha256": "0" * 64}, "SHA256"),
        ({"sha1": "0" * 40}, "SHA1"),
        ({"bytes": 10}, "600000 bytes, expected 10"),
        ({"bytes": 700_000}, "expected 700000"),
    ],
)
def test_another_file_than_promised_is_refused_and_removed(server, tmp_path, wanted, message):
    with pytest.raises(ChecksumError, match=message):
        get(server, tmp_path, **wanted)
    assert list(tmp_path.iterdir()) == []


def test_sha1_is_checked_where_it_is_all_there_is(server, tmp_path):
    sha1 = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()
    assert get(server, tmp_path, sha1=sha1).read_bytes() == DATA


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (401, 1), (410, 1), (400, 1), (503, 4), (429, 4)])
def test_statuses_are_explained_and_tried_again_only_if_that_may_help(server, tmp_path, status, tries):
    server.statuses = [status] * 9
    with pytest.raises(ModelError, match=str(status)):
        get(server, tmp_path)
    assert len(server.requests) == tries
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_recovers_is_waited_for(server, tmp_path):
    server.statuses = [503, 500]
    assert get(server, tmp_path, sha256=SHA256).read_bytes() == DATA


def test_a_log_in_page_is_no_model(server, tmp_path):
    server.type = "text/html; charset=utf-8"
    with pytest.raises(ModelError, match="web page"):
        get(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_answer_at_all_is_explained(tmp_path):
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as closed:
        port = closed.server_address[1]
    with pytest.raises(ModelError, match="refuses the connection") as caught:
        download(f"http://127.0.0.1:{port}/x", tmp_path, patience=QUICK)
    assert caught.value.code == "INTERRUPTED"
    assert list(tmp_path.iterdir()) == []


def test_silence_counts_as_a_broken_connection(server, tmp_path, monkeypatch):
    monkeypatch.setattr(request, "STALL_SECONDS", 0.3)
    server.hang_at, server.drop_after = "body", [100_000]
    with pytest.raises(ModelError, match="does not answer"):
        get(server, tmp_path, patience=Patience(1, 0.01, 0.01))


@pytest.mark.parametrize("where", ["headers", "body"])
def test_cancel_does_not_wait_for_a_hanging_server(server, tmp_path, where):
    server.hang_at, server.drop_after = where, [100_000]
    token = CancelToken()
    timer = threading.Timer(0.5, token.cancel)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        get(server, tmp_path, cancel=token)
    # The server hangs for 20 s; nothing of ours may.
    assert time.monotonic() - begun < 15
    assert list(tmp_path.iterdir()) == []


def test_cancel_stops_the_pause_between_tries(server, tmp_path):
    server.statuses = [503] * 9
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    with pytest.raises(Cancelled):
        get(server, tmp_path, patience=Patience(5, 60.0, 60.0), cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_redirects_lead_to_safe_places_only(server, tmp_path):
    server.location = server.url("/there.zip")
    assert download(server.url("/moved"), tmp_path, sha256=SHA256, patience=QUICK).read_bytes() == DATA
    for target in ("http://models.example/x.zip", "file:///etc/passwd", "ftp://models.example/x"):
        server.location = target
        with pytest.raises(ModelError, match=r"start with https|by http, which|not allowed") as caught:
            download(server.url("/moved"), tmp_path, patience=QUICK)
        assert caught.value.code == "DOWNLOAD"


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/x.zip",
        "ftp://models.example/x.zip",
        "file:///etc/passwd",
        "https://user:secret@models.example/x.zip",
        "https:///x.zip",
        "https://models.example/x y.zip",
        "https://models.example/x\r\nHost: other",
        "https://[broken/x",
        "https://models.example:99999999/x",
    ],
)
def test_unsafe_addresses_are_refused_without_a_connection(tmp_path, url):
    with pytest.raises(ModelError) as caught:
        download(url, tmp_path / "new", patience=QUICK)
    assert caught.value.code == "DOWNLOAD"
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "url", ["https://models.example/x", "http://localhost:8000/x", "http://127.0.0.1/x", "http://[::1]/x"]
)
def test_safe_addresses(url):
    assert check_url(url) == url


def test_failures_of_the_network_have_words():
    import urllib.error

    assert "internet connection" in str(translated(socket.gaierror(-2, "unknown"), "models.example"))
    assert "does not answer" in str(translated(urllib.error.URLError(TimeoutError()), "models.example"))
    verification = ssl.SSLCertVerificationError("no")
    verification.verify_message = "self-signed certificate"
    error = translated(urllib.error.URLError(verification), "models.example")
    assert isinstance(error, ModelError)
    assert "self-signed certificate" in str(error)
    error = translated(OSError("Tunnel connection failed: 407 Proxy Authentication Required"), "models.example")
    assert "proxy" in str(error)


def test_a_server_without_tls_is_not_read(tmp_path):
    """Talk TLS to a server that speaks none: the connection is refused as unsafe, not read."""

    class Plain(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1000)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as plain:
        threading.Thread(target=plain.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(ModelError, match="No safe connection"):
            download(f"https://127.0.0.1:{plain.server_address[1]}/x", tmp_path, patience=QUICK)
        plain.shutdown()
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_that_asks_for_a_log_in_is_named(tmp_path, monkeypatch):
    class Proxy(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4000)
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ModelError, match=r"The proxy refuses the connection to models\.example"):
            download("https://models.example/x.zip", tmp_path, patience=QUICK)
        proxy.shutdown()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def safe_server(server, tmp_path_factory):
    """The server behind TLS with a certificate of its own; gives the certificate's file."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    place = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*make.split(), *names], cwd=place, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return place / "cert.pem"


def test_only_a_certificate_that_is_vouched_for_is_taken(server, safe_server, tmp_path, monkeypatch):
    url = server.url().replace("http:", "https:")
    with pytest.raises(ModelError, match=r"certificate of 127\.0\.0\.1 cannot be verified: self-signed") as caught:
        download(url, tmp_path, patience=QUICK)
    assert caught.value.code == "DOWNLOAD"
    assert not server.requests
    monkeypatch.setenv("SSL_CERT_FILE", str(safe_server))
    assert download(url, tmp_path, sha256=SHA256, patience=QUICK).read_bytes() == DATA
    server.location = "http://127.0.0.1:1/elsewhere"
    with pytest.raises(ModelError, match="sends on to an address without https"):
        download(url.replace("model.zip", "moved"), tmp_path, patience=QUICK)


def test_two_downloads_of_one_address_at_once(server, tmp_path):
    server.hang_at, server.drop_after = "body", [100_000]
    token = CancelToken()

    def load():
        with contextlib.suppress(Cancelled):
            get(server, tmp_path, cancel=token)

    first = threading.Thread(target=load)
    first.start()
    while not server.requests:
        time.sleep(0.01)
    with pytest.raises(OutputError, match=rf"process {os.getpid()} on ") as caught:
        get(server, tmp_path)
    assert caught.value.code == "BUSY"
    token.cancel()
    first.join(10)
    assert not first.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file size limit on this system")
def test_a_full_disk_leaves_nothing(server, tmp_path):
    code = (
        "import resource, signal, sys, pathlib\n"
        "from medai.core.errors import OutputError\n"
        "from medai.segment.models.download import download\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    download(sys.argv[1], pathlib.Path(sys.argv[2]))\n"
        "except OutputError as error:\n    print('REFUSED', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, server.url(), str(tmp_path)], capture_output=True, text=True)
    assert "REFUSED" in done.stdout, done.stderr
    assert "larger than the system allows" in done.stdout
    assert list(tmp_path.iterdir()) == []
