# SPDX-License-Identifier: Apache-2.0
"""The dry run of an upgrade says what then happens; the tests of each database take these in."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from watcher.db import action_plans, claims, migration, plan_claims, runs, upgrade_preview
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan, Audit, AuditRun, AuditTemplate
from watcher.decision_engine.catalog import Catalog
from watcher.tests.unit.db.migration_stories import FORMER_HEAD, LEGACY, NOW, FormerRows

DAY = datetime.timedelta(days=1)
SOME = ("001", "d098df6021e2", FORMER_HEAD)
HOLDER = Holder("engine-1", "host-1", datetime.timedelta(seconds=30))


class UpgradeStories(FormerRows):
    def sync(self, session: Session) -> None:
        Catalog(self.conf).sync(session, NOW)

    def preview(self) -> upgrade_preview.Preview:
        with self.database.connection() as connection:
            return upgrade_preview.preview(connection, self.conf, self.sync, NOW)

    def sentences(self) -> dict[str, tuple[str, str]]:
        """UUID to the state and the sentence."""
        return {
            change.uuid: (change.after, change.sentence)
            for changes in self.preview()
            for change in changes
        }

    def begin(self) -> None:
        """What services do when they start."""
        before = NOW - DAY
        for work in (
            self.sync,
            lambda session: runs.adopt(session, NOW),
            lambda session: action_plans.cancel_overdue(session, before, NOW),
            lambda session: action_plans.expire(session, before, NOW),
        ):
            self.database.write(work)
        with self.database.reader() as session:
            due = runs.due(session, NOW, 100)
        for run_id in due:
            self.database.write(lambda session, id_=run_id: claims.claim(session, id_, HOLDER, NOW))
        with self.database.reader() as session:
            plans = plan_claims.due(session, NOW, 100)
        for plan_id in plans:
            self.database.write(
                lambda session, id_=plan_id: plan_claims.claim(session, id_, HOLDER, NOW)
            )

    def insert_plan(self, uuid: str, audit_id: int, strategy_id: int, **values: Any) -> int:
        return self.insert(
            "action_plans",
            uuid=uuid,
            audit_id=audit_id,
            strategy_id=strategy_id,
            global_efficacy="[]",
            **values,
        )

    def insert_all_kinds(self, revision: str, ongoing: bool) -> None:
        goals = {
            name: self.insert(
                "goals", uuid=name, name=name, display_name=name, efficacy_specification="[]"
            )
            for name in ("dummy", "former_goal")
        }
        strategies = {
            name: self.insert(
                "strategies", uuid=name, name=name, display_name=name, goal_id=goals[goal]
            )
            for name, goal in (("dummy", "dummy"), ("former", "dummy"), ("homeless", "former_goal"))
        }
        text = LEGACY.index(revision) >= LEGACY.index("d098df6021e2") and (
            self.database.engine.dialect.name != "postgresql"
        )
        intervals: list[Any] = [60, 0, *(["0 4 * * *", "x"] if text else [])]
        number = 0
        for state in ("PENDING", "ONGOING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELLED"):
            for kind, interval in (
                ("ONESHOT", None),
                ("EVENT", None),
                *(("CONTINUOUS", each) for each in intervals),
            ):
                number += 1
                self.insert_audit(
                    f"audit-{number}",
                    goals["dummy"],
                    audit_type=kind,
                    state=state,
                    interval=interval,
                    name=("twin", "Twin")[number % 2] if number % 3 == 0 else f"name-{number}",
                    auto_trigger=number % 2 == 0,
                    force=number % 4 == 0,
                    strategy_id=strategies["dummy"],
                )
        gone = {"display_name": "gone", "efficacy_specification": "[]", "deleted": 77}
        deleted_goal = self.insert("goals", uuid="g", name="gone", deleted_at=NOW, **gone)
        for uuid, values in {
            "of-deleted-goal": {"goal_id": deleted_goal, "audit_type": "EVENT"},
            "later": {"start_time": NOW + DAY},
            "over": {"end_time": NOW - DAY, "audit_type": "CONTINUOUS", "interval": 5},
            "planned": {"next_run_time": NOW + DAY, "audit_type": "CONTINUOUS", "interval": 5},
            "of-former": {"strategy_id": strategies["former"], "audit_type": "EVENT"},
            "of-former-goal": {"goal_id": goals["former_goal"]},
            "forced": {"force": True},
        }.items():
            goal = values.pop("goal_id", goals["dummy"])
            self.insert_audit(uuid, goal, name=uuid, **values)
        for name, strategy in {**strategies, "no strategy": None}.items():
            self.insert(
                "audit_templates",
                uuid=f"template-{name}",
                name=f"with {name}",
                goal_id=goals["dummy"],
                strategy_id=strategy,
                scope="[]",
            )
        self.insert_audit("gone", goals["dummy"], name="gone", deleted=99, state="DELETED")
        for index, (state, age, strategy) in enumerate(
            (state, age, strategy)
            for state in ("RECOMMENDED", "PENDING", "ONGOING", "CANCELLING", "SUCCEEDED")
            for age in (0, 2)
            for strategy in ("dummy", "former")
            if ongoing or state in ("RECOMMENDED", "SUCCEEDED")
        ):
            self.insert_plan(
                f"plan-{index}", 1, strategies[strategy], state=state, created_at=NOW - age * DAY
            )

    def test_what_was_said_is_what_happens(self) -> None:
        for revision in SOME:
            for ongoing in (False, True) if revision == FORMER_HEAD else (True,):
                self.make_former(revision)
                self.insert_all_kinds(revision, ongoing)
                present = self.contents()
                said = self.preview()
                self.assertEqual(present, self.contents(), revision)
                migration.upgrade(self.database)
                self.begin()
                self._compare(said, revision)
                migration.downgrade(self.database, "base")

    def test_every_former_schema_can_be_read(self) -> None:
        self.make_former(LEGACY[0])
        self.insert_all_kinds(LEGACY[0], ongoing=True)
        first = self.preview()
        for revision in LEGACY[1:]:
            self.make_former(revision)
            self.assertEqual(first, self.preview(), revision)
        self.assertIn("CANCELLED", {change.after for change in first.audits})

    def contents(self) -> dict[str, list[Any]]:
        with self.database.engine.connect() as connection:
            tables = sa.MetaData()
            tables.reflect(connection)
            return {
                name: [tuple(row) for row in connection.execute(sa.select(table))]
                for name, table in tables.tables.items()
            }

    def _compare(self, said: upgrade_preview.Preview, revision: str) -> None:
        with self.database.reader() as session:
            audits = {audit.uuid: audit for audit in session.scalars(sa.select(Audit))}
            plans = {plan.uuid: plan for plan in session.scalars(sa.select(ActionPlan))}
            times = dict(
                session.execute(sa.select(Audit.uuid, AuditRun.not_before).join(AuditRun.audit))
                .tuples()
                .all()
            )
        for change in said.audits:
            audit, time = audits[change.uuid], times.get(change.uuid)
            about = f"{revision}: {change}"
            if time and time > NOW:
                self.assertEqual(change.before, audit.state, about)
                self.assertIn(f"Runs at {time:%Y-%m-%d %H:%M:%S} UTC", change.sentence)
            else:
                self.assertEqual(change.after, audit.state, about)
                self.assertNotIn("Runs at 2", change.sentence)
            if audit.state == "CANCELLED" != change.before:
                self.assertIn(audit.status_message, change.sentence)
            elif time == NOW and audit.state == "ONGOING":
                self.assertIn("Runs at once", change.sentence)
            if (audit.name or "") != change.name:
                self.assertIn(f"Is renamed '{audit.name}'", change.sentence)
        for change in said.plans:
            self.assertEqual(change.after, plans[change.uuid].state, f"{revision}: {change}")
        with self.database.reader() as session:
            left = session.scalars(
                sa.select(AuditTemplate.uuid).where(AuditTemplate.strategy_id.is_(None))
            ).all()
        said_of_templates = {change.uuid for change in said.templates}
        self.assertEqual(set(left) - {"template-no strategy"}, said_of_templates, revision)
        listed = {each.uuid for each in (*said.audits, *said.plans)}
        unlisted = {uuid: row for uuid, row in (audits | plans).items() if uuid not in listed}
        self.assertEqual(
            {"SUCCEEDED", "FAILED", "CANCELLED", "DELETED"},
            {row.state for row in unlisted.values()},
        )

    def test_each_of_them_has_a_sentence(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        self.insert_all_kinds(FORMER_HEAD, ongoing=False)
        said = self.sentences()
        oneshot = "Runs at once; it is CANCELLED if an action plan is ONGOING then."
        self.assertEqual(("ONGOING", oneshot), said["audit-1"])
        self.assertEqual(("ONGOING", "Runs at once."), said["forced"])
        self.assertIn("Runs at 2026-05-05 03:02:01 UTC", said["later"][1])
        self.assertEqual(("SUCCEEDED", "The end time of the audit has passed."), said["over"])
        self.assertEqual(("ONGOING", "Runs at 2026-05-05 03:02:01 UTC."), said["planned"])
        gone = "The strategy 'former' is no longer installed."
        self.assertEqual(("CANCELLED", gone), said["of-former"])
        gone = "The goal 'former_goal' is no longer installed."
        self.assertEqual(("CANCELLED", gone), said["of-former-goal"])
        gone = "The goal 'gone' is no longer installed."
        self.assertEqual(("CANCELLED", gone), said["of-deleted-goal"])
        self.assertEqual(("RECOMMENDED", "Waits for somebody to start it."), said["plan-0"])
        self.assertEqual("SUPERSEDED", said["plan-2"][0])
        gone = "The strategy 'former' is no longer installed; only the goal stays."
        self.assertEqual(("", gone), said["template-former"])
        self.assertIn("template-homeless", said)
        self.assertNotIn("template-dummy", said)

    def test_plans_under_way(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        self.insert_all_kinds(FORMER_HEAD, ongoing=True)
        said = self.sentences()
        self.assertEqual(("ONGOING", "An applier executes it."), said["plan-4"])
        self.assertEqual("CANCELLED", said["plan-6"][0])
        self.assertIn("No applier began it since 2026-05-02", said["plan-6"][1])
        self.assertIn("Goes on", said["plan-8"][1])
        self.assertIn("cancellation goes on", said["plan-12"][1])
        self.assertEqual("CANCELLED", said["audit-1"][0])
        self.assertIn("use force to ignore it", said["audit-1"][1])
        self.assertEqual(
            "Runs at 2026-05-05 03:02:01 UTC, or when no action plan is under way any more.",
            said["planned"][1],
        )
        self.conf.set_override("max_pending_hours", 0, group="watcher_applier")
        self.conf.set_override("action_plan_expiry", 0, group="watcher_decision_engine")
        said = self.sentences()
        self.assertEqual(("ONGOING", "An applier executes it."), said["plan-6"])
        self.assertEqual("RECOMMENDED", said["plan-2"][0])

    def test_webhooks_wait(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        self.insert_audit("a", self.insert_goal(), audit_type="EVENT")
        waits = ("PENDING", "Waits for alarms at its webhook.")
        self.assertEqual({"a": waits}, self.sentences())

    def test_an_empty_database_has_nothing_to_say(self) -> None:
        self.assertEqual(([], [], []), self.preview())
