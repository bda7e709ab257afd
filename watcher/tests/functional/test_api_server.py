# SPDX-License-Identifier: Apache-2.0
"""The API on a server of its own, over sockets."""

import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any

import fixtures
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from watcher import rpc
from watcher.cmd.api import ApiProcess
from watcher.common.states import AuditType
from watcher.tests import factories
from watcher.tests.base import TIMEOUT, DatabaseTestCase, wait_for


def write_certificate(cert: str, key: str) -> None:
    """A certificate that 127.0.0.1 signed for itself, valid for a day."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(private, hashes.SHA256())
    )
    with open(cert, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    with open(key, "wb") as file:
        file.write(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


class ServerTestCase(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        rpc.transport(self.conf, "fake://")  # which registers its options
        self.conf.set_override("transport_url", "fake://")
        self.conf.set_override("port", 0, group="api")
        self.conf.set_override("workers", 1, group="api")

    def serve(self) -> str:
        """Start the server; its address."""
        process = ApiProcess(0, self.conf)
        thread = threading.Thread(target=process.run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(process.terminate)
        server = process.server
        wait_for(lambda: server.ready, "the server listens")
        host, port = server.bind_addr
        return f"{host}:{port}"

    def test_http(self) -> None:
        with urllib.request.urlopen(f"http://{self.serve()}/v1/goals") as response:
            self.assertEqual({"goals": []}, json.load(response))

    def test_a_proxy_keeps_its_connections(self) -> None:
        address = self.serve()
        connections = [http.client.HTTPConnection(address, timeout=TIMEOUT) for _ in range(20)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.request("GET", "/v1/goals")
            answer = connection.getresponse()
            self.assertEqual((200, False), (answer.status, answer.will_close))
            answer.read()

    def test_a_large_body_is_refused_with_a_sentence(self) -> None:
        with self.database.writer() as session:
            factories.audit(session, name="x", audit_type=AuditType.EVENT)
        address = self.serve()
        for path, status in (("/v1/audit_templates", 413), ("/v1/webhooks/x", 400)):
            for body in (bytes(10 * 2**20), iter([bytes(2**16)] * 160)):
                request: Any = urllib.request.Request(
                    f"http://{address}{path}",
                    data=body,
                    headers={"Content-Type": "application/json"},
                    method="POST",
                )
                error = self.assertRaises(urllib.error.HTTPError, urllib.request.urlopen, request)
                self.assertEqual(status, error.code)
                self.assertIn(b"larger than", error.read())

    def connect(self, address: str, data: bytes = b"") -> socket.socket:
        host, _, port = address.partition(":")
        connection = socket.create_connection((host, int(port)), timeout=60)
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection

    def ask(self, address: str, data: bytes) -> bytes:
        """The answer to what may be no request, until the server ends it."""
        answer = b""
        with self.connect(address, data) as connection:
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def test_senders_that_do_not_go_on_take_no_thread(self) -> None:
        self.conf.set_override("threads", 2, group="api")
        self.conf.set_override("request_timeout", 600, group="api")
        address = self.serve()
        head = b"POST /v1/webhooks/x HTTP/1.1\r\nHost: x\r\n"
        for number in range(30):
            body = b"Content-Length: 100\r\n\r\n{" if number % 2 else b"X"
            self.connect(address, head + body if number % 3 else b"")
        with urllib.request.urlopen(f"http://{address}/healthcheck", timeout=60) as response:
            self.assertEqual(200, response.status)

    def test_a_request_that_takes_too_long_is_refused(self) -> None:
        self.conf.set_override("request_timeout", 1, group="api")
        address = self.serve()
        begun = self.connect(address, b"POST /v1/webhooks/x HTTP/1.1\r\nContent-Le")
        silent = self.connect(address)
        self.assertTrue(begun.recv(100).startswith(b"HTTP/1.1 408 "))
        self.assertEqual(b"", silent.recv(100))

    def test_a_body_that_is_none_is_a_400_and_no_traceback(self) -> None:
        with self.database.writer() as session:
            factories.audit(session, name="x", audit_type=AuditType.EVENT)
        address = self.serve()
        log = self.useFixture(fixtures.FakeLogger())
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for path in (b"/v1/webhooks/x", b"/v1/audit_templates"):
            for rest in (
                b"Transfer-Encoding: chunked\r\n\r\nno chunk at all\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n20\r\n{}\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n",
                b"Content-Length: -1\r\n\r\n{}",
                b"Content-Length: 3.5\r\n\r\n{}",
                b"Content-Length: 50\r\n\r\n{",
            ):
                answer = self.ask(address, head % path + rest)
                self.assertEqual(b"HTTP/1.1 400 ", answer[:13], (path, rest, answer))
                self.assertEqual(1, answer.count(b"HTTP/1.1 "), answer)
        self.assertNotIn("Traceback", log.output)

    def test_a_request_whose_end_is_not_clear_is_refused_with_a_sentence(self) -> None:
        """A proxy and the server could take different parts of it for the next request."""
        with self.database.writer() as session:
            factories.audit(session, name="x", audit_type=AuditType.EVENT)
        address = self.serve()
        log = self.useFixture(fixtures.FakeLogger())
        head = b"POST /v1/webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        after = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        chunked = b"2\r\n{}\r\n0\r\n\r\n"
        length, transfer = b"Content-Length: %s\r\n", b"Transfer-Encoding: chunked\r\n\r\n"
        for field, rest in (
            ("Content-Length", length % b"1" + length % b"2" + b"\r\n{}"),
            ("Content-Length", length % b"2" + length.lower() % b"1" + b"\r\n{}"),
            ("Content-Length", length % b"2, 2" + b"\r\n{}"),
            ("Content-Length", length % (b"9" * 5000) + b"\r\n{}"),
            ("Content-Length", length % b"1" + transfer + chunked),
            ("header", length % b"2" + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked),
            ("header", b"Content-Length : 2\r\n\r\n{}"),
            ("chunks", transfer + b"2\r\n{}\n\n\n0\r\n\r\n"),
        ):
            answer = self.ask(address, head + rest + after)
            self.assertEqual(b"HTTP/1.1 400 ", answer[:13], (rest, answer))
            self.assertEqual(1, answer.count(b"HTTP/1.1 "), answer)
            body = json.loads(answer.partition(b"\r\n\r\n")[2])
            self.assertIn(field, json.loads(body["error_message"])["faultstring"])
        self.assertNotIn("Traceback", log.output)

    def test_requests_on_one_connection(self) -> None:
        address = self.serve()
        get = b"GET /v1/goals HTTP/1.1\r\nHost: x\r\n"
        answer = self.ask(address, get + b"\r\n" + get + b"Connection: close\r\n\r\n")
        self.assertEqual(2, answer.count(b"HTTP/1.1 200 "), answer)

    def test_a_client_that_expects_100_continue_gets_it_once(self) -> None:
        with self.database.writer() as session:
            factories.audit(session, name="x", audit_type=AuditType.EVENT)
        connection = self.connect(
            self.serve(),
            b"POST /v1/webhooks/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: 2\r\n\r\n",
        )
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", connection.recv(1000))
        connection.sendall(b"{}")
        self.assertEqual(b"HTTP/1.1 202 ", connection.recv(1000)[:13])

    def test_https_with_clients_that_say_nothing(self) -> None:
        cert, key = f"{self.directory}/cert.pem", f"{self.directory}/key.pem"
        write_certificate(cert, key)
        self.conf.set_override("enable_ssl_api", True, group="api")
        self.conf.set_override("cert_file", cert, group="ssl")
        self.conf.set_override("key_file", key, group="ssl")
        self.conf.set_override("request_timeout", 600, group="api")
        self.conf.set_override("threads", 1, group="api")
        address = self.serve()
        for _ in range(3):
            self.connect(address)
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(f"https://{address}/", context=context) as response:
            self.assertEqual("v1", json.load(response)["default_version"]["id"])

    def test_https(self) -> None:
        cert, key = f"{self.directory}/cert.pem", f"{self.directory}/key.pem"
        write_certificate(cert, key)
        self.conf.set_override("enable_ssl_api", True, group="api")
        self.conf.set_override("cert_file", cert, group="ssl")
        self.conf.set_override("key_file", key, group="ssl")
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(f"https://{self.serve()}/", context=context) as response:
            self.assertEqual("v1", json.load(response)["default_version"]["id"])
