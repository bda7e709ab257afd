# SPDX-License-Identifier: Apache-2.0
"""The API on a server of its own, over sockets."""

import datetime
import ipaddress
import json
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from watcher import rpc
from watcher.cmd.api import Process
from watcher.common.states import AuditType
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, wait_for


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
        process = Process(0, self.conf)
        thread = threading.Thread(target=process.run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(process.terminate)
        server = process._server
        wait_for(lambda: server.ready, "the server listens")
        host, port = server.bind_addr
        return f"{host}:{port}"

    def test_http(self) -> None:
        with urllib.request.urlopen(f"http://{self.serve()}/v1/goals") as response:
            self.assertEqual({"goals": []}, json.load(response))

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

    def test_https(self) -> None:
        cert, key = f"{self.directory}/cert.pem", f"{self.directory}/key.pem"
        write_certificate(cert, key)
        self.conf.set_override("enable_ssl_api", True, group="api")
        self.conf.set_override("cert_file", cert, group="ssl")
        self.conf.set_override("key_file", key, group="ssl")
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(f"https://{self.serve()}/", context=context) as response:
            self.assertEqual("v1", json.load(response)["default_version"]["id"])
