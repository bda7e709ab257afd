# SPDX-License-Identifier: Apache-2.0
"""How the services of a cloud are reached, and what their failures become."""

from collections.abc import Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from watcher.cloud.openstack import proxies
from watcher.cloud.openstack.service_client import ServiceClient
from watcher.common.errors import CloudRefused, CloudUnavailable, NotConfigured, NotFound
from watcher.conf import clients
from watcher.tests import base
from watcher.tests.emulated import keystone
from watcher.tests.emulated.keystone import answer
from watcher.tests.emulated.server import EmulatedServer, Fault


class Things:
    """A service in the place of cinder: pages of things, and answers by path."""

    links = "things_links"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path in ("/v3/", "/v3"):
            link = {"rel": "self", "href": request.url_root + "v3/"}
            version = {"id": "v3.0", "status": "CURRENT", "min_version": "3.0", "version": "3.71"}
            return answer({"version": version | {"links": [link]}})
        if request.path == "/v3/things":
            first = int(request.args.get("marker", 0))
            page = {"things": [{"id": each} for each in range(first + 1, first + 3)]}
            if first < 4:
                page[self.links] = [{"rel": "next", "href": "elsewhere"}]
            return answer(page)
        if request.path == "/v3/refused":
            return answer(
                {"errors": [{"status": 409, "title": "Conflict", "detail": "Taken."}]}, 409
            )
        if request.path == "/v3/told":
            said = "Cannot connect with {'username': 'x', 'password': 'hunter2'}"
            return answer({"fault": {"message": said}}, 400)
        if request.path == "/v3/echoes":
            return answer({"echoes": [{"id": 1}], "echoes_links": [{"rel": "next"}]})
        status = int(request.path.rpartition("/")[2])
        return answer({"fault": {"message": "Thing is\n stuck."}}, status)


class ServiceTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.things = Things()
        self.server = self.useFixture(EmulatedServer(self.things))
        self.keystone = keystone.Keystone({"block-storage": f"{self.server.url}/v3"})
        self.identity = self.useFixture(EmulatedServer(self.keystone))
        keystone.configure(self.conf, self.identity.url)
        self.service = ServiceClient(self.conf, "cinder")


class TestService(ServiceTestCase):
    def test_pages_are_followed(self) -> None:
        things = self.service.rows("/things", "things", "3.0", limit=2)
        self.assertEqual([1, 2, 3, 4, 5, 6], [thing["id"] for thing in things])
        asked = [each for each in self.server.requests if each.path == "/v3/things"]
        self.assertEqual(
            [None, "2", "4"], [each.args.get("marker") for each in asked], "one request a page"
        )
        self.assertEqual(["2"] * 3, [each.args["limit"] for each in asked])
        self.assertIn("3.0", asked[0].headers["OpenStack-API-Version"])

    def test_pages_are_followed_whatever_the_links_are_called(self) -> None:
        self.things.links = "thing_links"  # as in cinder's volume_type_links
        self.assertEqual(6, len(list(self.service.rows("/things", "things"))))

    def test_an_endpoint_is_looked_up_again_after_a_while(self) -> None:
        now = [0.0]
        service = ServiceClient(self.conf, "cinder", lambda: now[0])
        other = self.useFixture(EmulatedServer(self.things))
        service.get("/things")
        self.keystone.catalog["block-storage"] = f"{other.url}/v3"
        self.server.fail(Fault.REFUSED)  # so that there is another token, with another catalog
        service.get("/things")
        self.assertEqual([], other.requests)
        now[0] += 60
        service.get("/things")
        self.assertEqual("/v3/things", other.requests[-1].path)

    def test_an_endpoint_of_the_catalog_is_no_template(self) -> None:
        self.keystone.catalog["block-storage"] = f"{self.server.url}/v3/%25(user_id)s"
        self.assertRaises(CloudRefused, ServiceClient(self.conf, "cinder").get, "/403")
        self.assertEqual("/v3/%(user_id)s/403", self.server.requests[-1].path)

    def test_a_repeated_page_is_no_answer(self) -> None:
        error = self.assertRaises(CloudUnavailable, list, self.service.rows("/echoes", "echoes"))
        self.assertIn("cinder repeats a page of /echoes", str(error))

    def test_one_token_serves_many_requests(self) -> None:
        for _ in range(3):
            self.service.get("/things")
        self.assertEqual(1, self.keystone.issued)

    def test_a_token_that_has_expired_is_renewed(self) -> None:
        self.service.get("/things")
        self.server.fail(Fault.REFUSED)
        self.assertIn("things", self.service.get("/things"))
        self.assertEqual(2, self.keystone.issued)

    def test_supports(self) -> None:
        self.assertTrue(self.service.supports("3.71"))
        self.assertFalse(self.service.supports("3.72"))

    def test_answers_become_errors_by_meaning(self) -> None:
        for status, kind in (
            (400, CloudRefused),
            (403, CloudRefused),
            (404, NotFound),
            (409, CloudRefused),
            (413, CloudRefused),
            (429, CloudUnavailable),
            (500, CloudUnavailable),
            (501, CloudRefused),
            (503, CloudUnavailable),
        ):
            with self.subTest(status):
                error = self.assertRaises(kind, self.service.get, f"/answer/{status}")
                self.assertEqual(
                    f"cinder answered {status}: Thing is stuck. (req-emulated)", str(error)
                )

    def test_the_words_of_placement(self) -> None:
        error = self.assertRaises(CloudRefused, self.service.get, "/refused")
        self.assertEqual("cinder answered 409: Taken. (req-emulated)", str(error))

    def test_passwords_are_not_passed_on(self) -> None:
        error = self.assertRaises(CloudRefused, self.service.get, "/told")
        self.assertIn("Cannot connect with {'username': 'x', 'password': '***'}", str(error))

    def test_faults_pass(self) -> None:
        self.service.get("/things")
        self.conf.set_override("timeout", 0.2, group=clients.AUTH)
        client = ServiceClient(self.conf, "cinder")
        client.get("/things")
        for fault in (Fault.DOWN, Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.SLOW):
            with self.subTest(fault.name):
                self.server.fail(fault)
                error = self.assertRaises(CloudUnavailable, client.get, "/things")
                self.assertIn("cinder", str(error))
        self.server.fail(Fault.WRONG_SHAPE)
        self.assertRaises(CloudUnavailable, list, self.service.rows("/things", "things"))

    def test_connections_and_503_are_repeated_as_configured(self) -> None:
        for name in ("connect_retries", "status_code_retries"):
            self.conf.set_override(name, 1, group="cinder")
        for name in ("connect_retry_delay", "status_code_retry_delay"):
            self.conf.set_override(name, 0.001, group="cinder")
        service = ServiceClient(self.conf, "cinder")
        service.get("/things")
        for fault in (Fault.GONE, Fault.DOWN):
            self.server.fail(fault)
            self.assertIn("things", service.get("/things"))
            self.server.fail(fault)
            self.assertRaises(CloudUnavailable, service.post, "/things", {})

    def test_503_is_repeated_as_often_as_configured(self) -> None:
        self.conf.set_override("api_query_interval", 0, group="collector")
        self.conf.set_override("api_query_max_retries", 3, group="collector")
        service = ServiceClient(self.conf, "cinder")
        service.get("/things")
        self.server.fail(Fault.DOWN, Fault.DOWN)
        self.assertIn("things", service.get("/things"))
        self.server.fail(Fault.DOWN, Fault.DOWN, Fault.DOWN)
        self.assertRaises(CloudUnavailable, service.get, "/things")
        self.conf.set_override("status_code_retries", 0, group="cinder")
        service = ServiceClient(self.conf, "cinder")
        service.get("/things")
        self.server.fail(Fault.DOWN)
        self.assertRaises(CloudUnavailable, service.get, "/things")


class TestSession(ServiceTestCase):
    def test_refused_credentials(self) -> None:
        self.conf.set_override("password", "wrong", group=clients.AUTH)
        service = ServiceClient(self.conf, "cinder")
        error = self.assertRaises(CloudRefused, service.get, "/things")
        self.assertIn("keystone refused the credentials for cinder", str(error))
        self.assertIn("req-emulated", str(error))

    def test_keystone_away(self) -> None:
        self.identity.fault = Fault.DOWN
        error = self.assertRaises(CloudUnavailable, self.service.get, "/things")
        self.assertIn("cinder", str(error))
        self.identity.heal()
        self.assertIn("things", self.service.get("/things"), "the next look finds it")

    def test_a_service_that_is_away_at_its_first_use(self) -> None:
        self.server.fault = Fault.DOWN
        self.assertRaises(CloudUnavailable, self.service.get, "/things")
        self.server.heal()
        self.assertIn("things", self.service.get("/things"))
        self.assertTrue(self.service.supports("3.71"), "its versions are looked at again")

    def test_a_service_that_is_not_in_the_catalog(self) -> None:
        service = ServiceClient(self.conf, "ironic")
        error = self.assertRaises(NotConfigured, service.get, "/nodes")
        self.assertIn("baremetal", str(error))

    def test_a_region_that_is_not_in_the_catalog(self) -> None:
        self.conf.set_override("region_name", "Elsewhere", group="cinder")
        error = self.assertRaises(NotConfigured, ServiceClient(self.conf, "cinder").get, "/things")
        self.assertIn("block-storage", str(error))

    def test_without_credentials(self) -> None:
        self.conf.clear_override("auth_type", group=clients.AUTH)
        error = self.assertRaises(NotConfigured, self.service.get, "/things")
        self.assertIn("set [watcher_clients_auth] auth_type", str(error))

    def test_credentials_that_miss_something(self) -> None:
        self.conf.clear_override("auth_url", group=clients.AUTH)
        error = self.assertRaises(NotConfigured, self.service.get, "/things")
        self.assertIn("auth_url", str(error).replace("-", "_"))

    def test_own_credentials_count_first(self) -> None:
        own = self.useFixture(EmulatedServer(keystone.Keystone(self.keystone.catalog)))
        keystone.configure(self.conf, own.url, "cinder")
        ServiceClient(self.conf, "cinder").get("/things")
        self.assertEqual(0, self.keystone.issued)
        self.assertNotEqual([], own.requests)

    def test_unset_options_of_a_session_are_the_common_ones(self) -> None:
        self.assertEqual(clients.TIMEOUT, proxies.session(self.conf, "cinder").timeout)
        self.conf.set_override("timeout", 7, group="cinder")
        self.conf.set_override("cafile", "/etc/ca.pem", group=clients.AUTH)
        loaded = proxies.session(self.conf, "cinder")
        self.assertEqual((7.0, "/etc/ca.pem"), (loaded.timeout, loaded.verify))

    def test_interface(self) -> None:
        self.assertEqual("public", proxies.proxy(self.conf, "cinder").interface)
        self.conf.set_override("endpoint_type", "internalURL", group="cinder_client")
        self.assertEqual("internal", proxies.proxy(self.conf, "cinder").interface)
        self.conf.set_override("valid_interfaces", ["public", "internal"], group="cinder")
        self.assertEqual(["public", "internal"], proxies.proxy(self.conf, "cinder").interface)
