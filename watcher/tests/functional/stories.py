# SPDX-License-Identifier: Apache-2.0
"""What a gabbi story starts from: an API without keystone on an empty SQLite database.

A fixture of a story adds rows, or makes the API another one.  Stories find what a fixture wants
them to know in the environment, as gabbi's ``$ENVIRON['NAME']``.
"""

import datetime
import json
import os
import tempfile
from typing import Any

from gabbi.fixture import GabbiFixture
from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher import conf as watcher_conf
from watcher.api import app
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.errors import Unanswered
from watcher.common.states import ActionState, AuditState, AuditType, Decision, PlanState, RunState
from watcher.db import action_plans, audits, installed, models, reviews, runs, services
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.tests import factories
from watcher.webhooks import credentials

_current: list[Any] = []


def application() -> Any:
    """The API of the story that runs now."""
    return lambda environ, start_response: _current[-1](environ, start_response)


def provide(**rows: Any) -> None:
    """Put the UUIDs of rows into the environment, by name, where stories read them."""
    os.environ.update({name: row.uuid for name, row in rows.items()})


class Bell:
    """A doorbell that remembers who rang."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, uuid: str) -> None:
        self.rung.append(uuid)


class Api(GabbiFixture):
    """An API with nothing in it.  Other fixtures fill it: ``fill``, and ``configure`` before."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        """Options that the story needs."""

    def fill(self, session: Session) -> None:
        """Rows that the story needs."""

    def start_fixture(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        conf = watcher_conf.load([], [])
        conf.set_override("host", "engine-1")
        conf.set_override("state_path", self._directory.name)
        conf.set_override("enable_authentication", False)
        conf.set_override("sqlite_synchronous", False, group="database")
        self.configure(conf)
        self.database = Database(conf)
        models.Base.metadata.create_all(self.database.engine)
        with self.database.writer() as session:
            self.fill(session)
        self.decision_engine, self.applier = Bell(), Bell()
        self.unrecorded = UnrecordedEvents(self.database)
        _current.append(
            app.build(
                conf,
                self.database,
                self.decision_engine,
                self.applier,
                Notifications(conf, self.database),
                Answers(),
                self.unrecorded,
            )
        )

    def stop_fixture(self) -> None:
        _current.pop()
        self.unrecorded.stop()
        self.database.dispose()
        self._directory.cleanup()


class Answers:
    """A decision engine that knows of the strategy ``dummy`` alone."""

    def strategy_info(self, strategy_name: str) -> list[dict[str, Any]]:
        if strategy_name != "dummy":
            raise Unanswered("The decision engine does not answer now.")
        return [
            {"type": kind, "state": state, "mandatory": mandatory, "comment": ""}
            for kind, state, mandatory in (
                ("Datasource", "This strategy uses no datasource.", True),
                ("Metrics", [], False),
                ("CDM", [{"compute_model": "available"}], True),
            )
        ]

    def data_model(self, data_model_type: str, audit: str | None) -> list[dict[str, Any]]:
        """A host with a server and one without; in the scope of an audit, one named after it."""
        if audit is not None:
            return [{"node_uuid": audit}]
        later = {
            "server_pinned_az": "az1",
            "server_flavor_extra_specs": {"hw:cpu_policy": "dedicated"},
        }
        return [
            {"node_uuid": "1", "server_uuid": "1", "server_metadata": {}, **later},
            {"node_uuid": "2", "node_disabled_reason": None},
        ]


class Catalog(Api):
    """Two goals and three strategies."""

    def fill(self, session: Session) -> None:
        dummy = factories.goal(session, name="dummy", display_name="Dummy goal")
        consolidation = factories.goal(session, name="server_consolidation")
        spec = {
            "properties": {
                "para1": {"type": "number", "default": 3.2, "minimum": 1.0, "maximum": 10.2},
                "para2": {"type": "string", "default": "hello"},
            }
        }
        strategy = factories.strategy(session, dummy, name="dummy", parameters_spec=spec)
        factories.strategy(session, dummy, name="dummy_with_resize")
        basic = factories.strategy(session, consolidation, name="basic")
        provide(
            DUMMY_GOAL=dummy,
            CONSOLIDATION_GOAL=consolidation,
            DUMMY_STRATEGY=strategy,
            BASIC_STRATEGY=basic,
        )


class Engines(Api):
    """Scoring engines, and services of which one is long gone."""

    def fill(self, session: Session) -> None:
        scorer = models.ScoringEngine(name="dummy_scorer", description="Dummy", metainfo="{}")
        session.add_all([scorer, models.ScoringEngine(name="dummy_avg_scorer")])
        begin, now = datetime.datetime(2026, 1, 1), timeutils.utcnow()
        services.beat(session, "watcher-decision-engine", "node-1", begin)
        services.beat(session, "watcher-decision-engine", "node-2", now, {"compute": begin})
        services.beat(session, "watcher-applier", "node-1", timeutils.utcnow())
        session.flush()
        provide(SCORER=scorer)


class Proxied(Catalog):
    """Behind a proxy, and open to the pages of a dashboard."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        conf.register_opts(http_proxy_to_wsgi.OPTS, group="oslo_middleware")
        conf.register_opts(cors.OPTS, group="cors")
        conf.set_override("enable_proxy_headers_parsing", True, group="oslo_middleware")
        conf.set_override("allowed_origin", ["https://horizon.example.com"], group="cors")


class Plans(Catalog):
    """An audit with a plan in each of some states; the RECOMMENDED one has three actions."""

    def fill(self, session: Session) -> None:
        super().fill(session)
        strategy = installed.strategy(session, "dummy")
        audit = factories.audit(session, strategy=strategy, audit_type=AuditType.EVENT, name="a")
        other = factories.audit(session, strategy=strategy, audit_type=AuditType.EVENT, name="b")
        plan = factories.action_plan(
            session, audit, strategy, global_efficacy=[{"name": "ratio", "value": 50.0}]
        )
        session.add(models.EfficacyIndicator(action_plan_id=plan.id, name="moves", data=2.5))
        session.add(models.ActionDescription(action_type="nop", description="Does nothing"))
        first = factories.action(session, plan)
        second = factories.action(session, plan, parents=[first.uuid])
        third = factories.action(session, plan, action_type="sleep", parents=[second.uuid])
        session.add(
            models.PlanReasons(
                action_plan_id=plan.id,
                summary={"hosts in use": {"before": 2, "after": 1}},
                reasons={first.uuid: "It is time to say hello."},
            )
        )
        ongoing = factories.action_plan(session, audit, strategy, state=PlanState.ONGOING)
        succeeded = factories.action_plan(session, other, strategy, state=PlanState.SUCCEEDED)
        provide(
            AUDIT=audit,
            RECOMMENDED_PLAN=plan,
            ONGOING_PLAN=ongoing,
            SUCCEEDED_PLAN=succeeded,
            FIRST_ACTION=first,
            SECOND_ACTION=second,
            THIRD_ACTION=third,
            ONGOING_ACTION=factories.action(session, ongoing, state=ActionState.ONGOING),
            WAITING_ACTION=factories.action(session, ongoing),
        )


class Reviewed(Plans):
    """Of audit b, which has lost auto_trigger by it, one plan was reviewed, and one will be."""

    def fill(self, session: Session) -> None:
        super().fill(session)
        audit = audits.get(session, "b")
        audit.status_message = reviews.DISTRUSTED
        strategy = installed.strategy(session, "dummy")
        done = action_plans.get(session, os.environ["SUCCEEDED_PLAN"])
        due = factories.action_plan(session, audit, strategy, state=PlanState.SUCCEEDED)
        for plan in (done, due):
            summary = {"hosts in use": {"before": 9, "after": 5}, "gain": {"percent": 44.4}}
            session.add(models.PlanReasons(action_plan_id=plan.id, summary=summary, reasons={}))
            reviews.add(session, plan.id, {"figure": "hosts in use", "before": 9, "after": 5}, 60)
            row = session.get_one(models.Review, plan.id)
            row.ended_at = datetime.datetime(2026, 1, 1, 10)
            row.due_at = datetime.datetime(2026, 1, 1, 10, 1)
        row = session.get_one(models.Review, done.id)
        row.due_at, row.reviewed_at = None, datetime.datetime(2026, 1, 1, 10, 1, 2)
        row.realised, row.kept, row.distrusts = {"hosts in use": 8}, 0.25, True
        row.message = "The plan kept 25% of what it promised."
        provide(DUE_PLAN=due)


class Reacted(Plans):
    """Audit a has run for two of its events, and is about to run for two others."""

    def fill(self, session: Session) -> None:
        super().fill(session)
        audit = audits.get(session, "a")
        plan = action_plans.get(session, os.environ["RECOMMENDED_PLAN"])
        hour = datetime.datetime(2026, 1, 1, 10)
        done = models.AuditRun(
            audit_id=audit.id,
            state=RunState.SUCCEEDED,
            not_before=hour,
            created_at=hour,
            started_at=hour,
            finished_at=hour + datetime.timedelta(seconds=7),
            attempt=1,
            engine="node-1:4711:cafe",
            coalesced_count=41,
            action_plan_id=plan.id,
            parameters={"para1": 2.5},
        )
        session.add(done)
        session.flush()
        waiting = runs.enqueue(session, audit.id, hour, hour + datetime.timedelta(hours=2))
        waiting.coalesced_count, waiting.wait_reason = 1, runs.PLAN_ONGOING
        waiting.errors = [{"attempt": 1, "at": "2026-01-01T10:03:00", "error": "No metrics."}]
        events = [
            models.AuditEvent(
                audit_id=audit.id,
                run_id=run.id if run else None,
                received_at=hour + datetime.timedelta(minutes=number),
                source="aodh" if number % 2 else "generic",
                alarm_name=f"alarm-{number}",
                decision=decision,
                decision_reason=reason,
                payload=json.dumps({"number": number}),
                parameters={"para1": 2.5} if run is done else {},
            )
            for number, (run, decision, reason) in enumerate(
                (
                    (done, Decision.QUEUED, None),
                    (done, Decision.COALESCED, None),
                    (None, Decision.IGNORED, "paused"),
                    (waiting, Decision.QUEUED, None),
                    (waiting, Decision.COALESCED, None),
                    (None, Decision.REJECTED, "bad_parameters"),
                )
            )
        ]
        session.add_all(events)
        session.flush()
        provide(RUN=done, WAITING_RUN=waiting, FIRST_EVENT=events[0], LAST_EVENT=events[5])


class Templates(Catalog):
    """An audit template with parameters and a scope."""

    def fill(self, session: Session) -> None:
        super().fill(session)
        strategy = installed.strategy(session, "dummy")
        template = models.AuditTemplate(
            name="at1",
            goal_id=strategy.goal_id,
            strategy_id=strategy.id,
            scope=[{"compute": [{"availability_zones": [{"name": "az1"}]}]}],
            default_parameters={"para1": 2.0, "para2": "template"},
        )
        session.add(template)
        session.flush()
        provide(TEMPLATE=template)


class Guarded(Plans):
    """Webhooks ask who calls, and callers say what they are in X-Roles."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("enable_webhooks_auth", True, group="api")


class Locked(Api):
    """Four webhooks: one is in the middle of a rotation of its secret, one asks keystone."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("allow_names", False, group="webhooks")

    def fill(self, session: Session) -> None:
        new, old = credentials.digest("new-secret"), credentials.digest("old-secret")
        for name, webhook in {
            "SECRET_AUDIT": models.Webhook(
                auth="secret", secret_hash=new, previous_secret_hash=old
            ),
            "NO_SECRET_AUDIT": models.Webhook(auth="secret"),
            "KEYSTONE_AUDIT": models.Webhook(auth="keystone"),
            "OPEN_AUDIT": models.Webhook(auth="none"),
        }.items():
            audit = factories.audit(session, audit_type=AuditType.EVENT)
            webhook.audit_id = audit.id
            session.add(webhook)
            provide(**{name: audit})
        factories.audit(session, audit_type=AuditType.EVENT, name="guessed")


class WebhookAnswers(Api):
    """An audit for each answer that the webhook may give, named after it; three events a minute."""

    def configure(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("max_recorded_per_minute", 3, group="webhooks")

    def fill(self, session: Session) -> None:
        def audit(name: str, state: str = AuditState.PENDING, **values: Any) -> models.Audit:
            values.setdefault("audit_type", AuditType.EVENT)
            made: models.Audit = factories.audit(
                session, strategy=strategy, name=name, state=state, **values
            )
            return made

        def webhook(name: str, **settings: Any) -> None:
            session.add(models.Webhook(audit_id=audit(name).id, **settings))

        goal = factories.goal(session)
        spec = {"properties": {"node": {"type": "string"}}}
        strategy = factories.strategy(session, goal, parameters_spec=spec)
        for state in AuditState.TRIGGERABLE:
            audit(state.lower(), state)
        audit("cancelled", AuditState.CANCELLED)
        audit("suspended", AuditState.SUSPENDED)
        audit("oneshot", audit_type=AuditType.ONESHOT)
        audit("continuous", audit_type=AuditType.CONTINUOUS)
        audit("too-early", start_time=datetime.datetime(2999, 1, 1))
        audit("too-late", end_time=datetime.datetime(2000, 1, 1))
        webhook("paused", paused=True)
        secret = {"auth": "secret", "secret_hash": credentials.digest("sesame")}
        webhook("secret", **secret)
        webhook("filtered", filter="severity == 'high'", **secret)
        webhook("mapped", parameters={"node": "host"}, **secret)
        webhook("keystone", auth="keystone")
        provide(PENDING_AUDIT=audit("by-uuid"))
