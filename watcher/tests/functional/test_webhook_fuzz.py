# SPDX-License-Identifier: Apache-2.0
"""Whatever anybody sends to a webhook, the answer is one of four."""

import hashlib
import json
import string

import hypothesis
import webob
from hypothesis import strategies as st
from sqlalchemy import func, select

from watcher.common.states import AuditType
from watcher.db import installed
from watcher.db.models import AuditEvent, AuditRun, Webhook
from watcher.tests import base, factories
from watcher.tests.functional import stories
from watcher.tests.unit.webhooks import messages

SECRET = "open-sesame"
IDENTS = ("open", "locked", "trusted", "nope", "1", "open%00", "%ff", "%2e%2e", "a" * 300)
WEBHOOKS = {
    "open": {"auth": "none"},
    "locked": {
        "auth": "secret",
        "secret_hash": hashlib.sha256(SECRET.encode()).hexdigest(),
        "filter": "!contains(keys(@), 'x')",
        "parameters": {"para1": "data.cpu", "para2": "join('', keys(@))"},
    },
    "trusted": {"auth": "keystone"},
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def known(draw):
    """A message of a known service, distorted."""
    message = draw(st.sampled_from(messages.ALL))
    keys = st.sampled_from(sorted(message))
    left_out = draw(st.sets(keys, max_size=2))
    message = message | draw(st.dictionaries(keys, VALUES, max_size=3))
    kept = {key: value for key, value in message.items() if key not in left_out}
    return draw(st.sampled_from([kept, [kept], [kept, kept]]))


@st.composite
def damaged(draw):
    """Bytes that nearly are JSON."""
    body = json.dumps(draw(known() | VALUES)).encode()
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, len(body)))
    return body[:start] + draw(st.binary(max_size=4)) + body[end:]


BODIES = (
    st.binary(max_size=40)
    | (known() | VALUES).map(lambda value: json.dumps(value).encode())
    | damaged()
)
PRINTABLE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "X-Auth-Token",
            "X-Roles",
            "X-Identity-Status",
            "X-OpenStack-Request-ID",
            "OpenStack-API-Version",
            "Idempotency-Key",
            "Content-Type",
            "Content-Encoding",
            "Accept",
            "Forwarded",
            "ce-specversion",
            "ce-id",
            "ce-source",
            "ce-type",
            "ce-data",
        ]
    ),
    PRINTABLE
    | st.sampled_from(
        [f"Bearer {SECRET}", "Bearer", "Basic OnNlc2FtZQ==", "Basic ====", "1.0", "%C0", '"', "k"]
    ),
    max_size=8,
)
QUERIES = (
    st.text(string.printable.replace("\r", "").replace("\n", ""), max_size=20).map(
        lambda text: text.replace("#", "")
    )
    | st.just(f"token={SECRET}")
    | st.just("token=%ff&token=&aodh-alarm-ssl-verify=0")
)


class TestFuzz(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = stories.Catalog()
        self.api.start_fixture()
        self.addCleanup(self.api.stop_fixture)
        with self.api.database.writer() as session:
            for name, settings in WEBHOOKS.items():
                audit = factories.audit(
                    session,
                    strategy=installed.strategy(session, "dummy"),
                    name=name,
                    audit_type=AuditType.EVENT,
                )
                session.add(Webhook(audit_id=audit.id, **settings))

    def post(self, ident, body, headers, query):
        request = webob.Request.blank("/v1/webhooks/", method="POST")
        request.environ["PATH_INFO"] = webob.compat.url_unquote(f"/v1/webhooks/{ident}")
        request.environ["QUERY_STRING"] = query
        request.content_type = ""
        for name, value in headers.items():
            request.headers[name] = value
        request.body = body
        return request.get_response(stories.application())

    @hypothesis.settings(max_examples=200)
    @hypothesis.given(
        st.sampled_from(IDENTS[:3]) | st.sampled_from(IDENTS), BODIES, HEADERS, QUERIES
    )
    def test_four_answers(self, ident, body, headers, query):
        before = self.rows()
        response = self.post(ident, body, headers, query)
        self.assertIn(response.status_int, (202, 400, 401, 403, 404), response.body)
        if response.status_int == 202:
            self.assertEqual(b"", response.body)
        if response.status_int in (401, 403, 404) or ident == "trusted":
            self.assertEqual(before, self.rows())
            self.assertNotEqual(202, response.status_int)
        self.assertNotIn(SECRET.encode(), response.body)

    def rows(self):
        with self.api.database.reader() as session:
            return [session.scalar(select(func.count(row.id))) for row in (AuditEvent, AuditRun)]
