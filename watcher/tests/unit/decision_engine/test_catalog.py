# SPDX-License-Identifier: Apache-2.0
import datetime
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from sqlalchemy import select

from watcher.cmd import sync
from watcher.common import entry_points
from watcher.common.errors import NotFound
from watcher.common.states import ActionState, AuditState, AuditType, PlanState, RunState
from watcher.db import models, runs
from watcher.decision_engine import catalog
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.goals import Goal
from watcher.decision_engine.planners import WeightPlanner
from watcher.decision_engine.strategies.base import Strategy
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, TestCase

NOW = datetime.datetime(2026, 1, 1)
LATER = datetime.datetime(2026, 1, 2)


class Loaded:
    """Entry points by namespace, in place of what is installed."""

    def __init__(self, **plugs):
        plugs.setdefault("planners", {"weight": WeightPlanner})
        self._plugs = {f"watcher_{kind}": entries for kind, entries in plugs.items()}
        self.broken = {}

    def load(self, namespace, kind=None):
        return dict(sorted(self._plugs.get(namespace, {}).items()))

    def names(self, namespace):
        return frozenset(self._plugs.get(namespace, {})) | self.broken.get(namespace, frozenset())


def goal(display_name):
    return type("AGoal", (Goal,), {"display_name": display_name})


def strategy(goal, display_name="A strategy", **values):
    return type("AStrategy", (Strategy,), {"goal": goal, "display_name": display_name, **values})


class CatalogTest(TestCase):
    def catalog(self, **plugs):
        self.loaded = Loaded(**plugs)
        for function in ("load", "names"):
            patch = mock.patch.object(entry_points, function, getattr(self.loaded, function))
            patch.start()
            self.addCleanup(patch.stop)
        return Catalog(self.conf)

    def test_what_comes_with_watcher(self):
        installed = Catalog(self.conf)
        self.assertEqual(10, len(installed.goals))
        self.assertLessEqual(
            {"dummy", "actuator", "basic", "workload_stabilization"}, installed.strategies.keys()
        )
        self.assertEqual(
            ["dummy_avg_scorer", "dummy_max_scorer", "dummy_min_scorer", "dummy_scorer"],
            list(installed.scoring_engines),
        )
        for kind in (installed.goals, installed.strategies, installed.planners):
            for name, plug in kind.items():
                self.assertEqual(name, plug.name)
        for each in installed.strategies.values():
            self.assertIn(each.goal, installed.goals)
            self.assertIn(each.planner, installed.planners)

    def test_a_goal_without_a_strategy_takes_its_first_by_name(self):
        installed = Catalog(self.conf)
        self.assertIs(Dummy, installed.strategy_for("dummy"))
        self.assertEqual("basic", installed.strategy_for("server_consolidation").name)
        self.assertEqual(
            "dummy_with_resize", installed.strategy_for("dummy", "dummy_with_resize").name
        )

    def test_a_strategy_that_has_to_be_named(self):
        installed = Catalog(self.conf)
        self.assertEqual(
            "storage_capacity_balance", installed.strategy_for("workload_balancing").name
        )
        named = installed.strategy_for("workload_balancing", "allocation_balance")
        self.assertEqual("allocation_balance", named.name)
        only = self.catalog(
            goals={"dance": goal("Dance")},
            strategies={"waltz": strategy("dance", chosen_by_goal=False)},
        )
        self.assertRaises(NotFound, only.strategy_for, "dance")

    def test_what_is_missing_is_named(self):
        installed = Catalog(self.conf)
        for wanted, ask in (
            ("dance", lambda: installed.strategy_for("dance")),
            ("dance", lambda: installed.strategy_for("dummy", "dance")),
            ("dance", lambda: installed.planner("dance")),
            ("dance", lambda: installed.scoring_engine("dance")),
        ):
            self.assertIn(wanted, str(self.assertRaises(NotFound, ask)))

    def test_a_planner_has_its_options(self):
        planner = Catalog(self.conf).planner("weight")
        self.assertEqual(2, planner.settings.parallelization["migrate"])

    def test_options_of_a_strategy_are_registered_in_its_group(self):
        Catalog(self.conf)
        self.assertFalse(self.conf["watcher_strategies.basic"].check_optimize_metadata)
        self.assertEqual([], list(self.conf["watcher_strategies.dummy"]))
        Catalog(self.conf)  # a second one is no conflict
        groups = dict(catalog.list_opts())
        self.assertEqual(
            ["check_optimize_metadata", "datasources"],
            [option.name for option in groups["watcher_strategies.basic"]],
        )
        self.assertNotIn("watcher_strategies.dummy", groups)  # a sample has no empty groups

    def test_a_strategy_without_its_goal_is_left_out(self):
        made = self.catalog(
            goals={"g": goal("G")}, strategies={"s": strategy("g"), "t": strategy("h")}
        )
        self.assertEqual(["s"], list(made.strategies))

    def test_numpy_is_not_needed_to_know_them(self):
        code = (
            "import sys; sys.modules['numpy'] = None  # so that an import of it fails\n"
            "from watcher import conf\n"
            "from watcher.decision_engine.catalog import Catalog\n"
            "print(*Catalog(conf.load([], [])).strategies)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(list(Catalog(self.conf).strategies), done.stdout.split())


class SyncTest(DatabaseTestCase):
    catalog = CatalogTest.catalog

    def sync(self, now=NOW, **plugs):
        made = self.catalog(**plugs)
        self.database.write(lambda session: made.sync(session, now))

    def rows(self, table):
        with self.database.reader() as session:
            return {
                row.name: row for row in session.scalars(select(table).where(table.deleted == 0))
            }

    def test_what_comes_with_watcher_is_written_once(self):
        installed = Catalog(self.conf)
        for now in (NOW, LATER):
            self.database.write(lambda session, now=now: installed.sync(session, now))
        self.assertEqual(installed.goals.keys(), self.rows(models.Goal).keys())
        strategies = self.rows(models.Strategy)
        self.assertEqual(installed.strategies.keys(), strategies.keys())
        self.assertEqual(dict(Dummy.schema), strategies["dummy"].parameters_spec)
        self.assertEqual(self.rows(models.Goal)["dummy"].id, strategies["dummy"].goal_id)
        engines = self.rows(models.ScoringEngine)
        self.assertEqual(installed.scoring_engines.keys(), engines.keys())
        self.assertIn("workloads", engines["dummy_scorer"].metainfo)
        for row in (*strategies.values(), *engines.values()):
            self.assertIsNone(row.updated_at, "written again without need")

    def test_engines_that_start_at_the_same_time_agree(self):
        installed = Catalog(self.conf)
        with ThreadPoolExecutor(4) as pool:
            for done in [
                pool.submit(self.database.write, lambda session: installed.sync(session, NOW))
                for _ in range(4)
            ]:
                done.result()
        self.assertEqual(installed.strategies.keys(), self.rows(models.Strategy).keys())

    def test_reworded_rows_stay_and_so_do_their_audits(self):
        self.sync(goals={"g": goal("Old")}, strategies={"s": strategy("g")})
        before = self.rows(models.Goal)["g"], self.rows(models.Strategy)["s"]
        with self.database.writer() as session:
            audit = factories.audit(session, *before, state=AuditState.ONGOING)
        self.sync(
            goals={"g": goal("New"), "h": goal("H")},
            strategies={"s": strategy("h", "Newer", schema={"properties": {"a": {}}})},
        )
        after = self.rows(models.Goal)["g"], self.rows(models.Strategy)["s"]
        self.assertEqual([row.uuid for row in before], [row.uuid for row in after])
        self.assertEqual(["New", "Newer"], [row.display_name for row in after])
        self.assertEqual({"properties": {"a": {}}}, after[1].parameters_spec)
        self.assertEqual(self.rows(models.Goal)["h"].id, after[1].goal_id)
        self.assertEqual(AuditState.ONGOING, self.get(audit).state)

    def test_what_does_not_load_is_kept(self):
        self.sync(goals={"g": goal("G")}, strategies={"s": strategy("g")})
        made = self.catalog()
        self.loaded.broken = {
            "watcher_goals": frozenset({"g"}),
            "watcher_strategies": frozenset({"s"}),
        }
        self.database.write(lambda session: made.sync(session, LATER))
        self.assertEqual({"g"}, self.rows(models.Goal).keys())
        self.assertEqual({"s"}, self.rows(models.Strategy).keys())

    def test_a_strategy_that_is_gone_ends_what_needs_it(self):
        self.sync(goals={"g": goal("G")}, strategies={"s": strategy("g"), "t": strategy("g")})
        goal_row, rows = self.rows(models.Goal)["g"], self.rows(models.Strategy)
        with self.database.writer() as session:
            audits = {
                state: factories.audit(session, goal_row, rows["s"], state=state)
                for state in (AuditState.PENDING, AuditState.SUSPENDED, AuditState.SUCCEEDED)
            }
            event = factories.audit(
                session,
                goal_row,
                rows["s"],
                audit_type=AuditType.EVENT,
                state=AuditState.SUCCEEDED,
            )
            other = factories.audit(session, goal_row, rows["t"])
            waiting = [
                runs.enqueue(session, audit.id, NOW, NOW)
                for audit in (audits[AuditState.PENDING], other)
            ]
            plans = {
                state: factories.action_plan(session, event, rows["s"], state=state)
                for state in (PlanState.RECOMMENDED, PlanState.PENDING, PlanState.SUCCEEDED)
            }
            action = factories.action(session, plans[PlanState.RECOMMENDED])
            template = models.AuditTemplate(
                name="template", goal_id=goal_row.id, strategy_id=rows["s"].id
            )
            session.add(template)
            session.flush()
        self.sync(now=LATER, goals={"g": goal("G")}, strategies={"t": strategy("g")})
        self.assertEqual({"t"}, self.rows(models.Strategy).keys())
        gone = self.get(rows["s"])
        self.assertEqual((gone.id, LATER), (gone.deleted, gone.deleted_at))
        for audit in (audits[AuditState.PENDING], audits[AuditState.SUSPENDED], event):
            self.assertEqual(AuditState.CANCELLED, self.get(audit).state)
            self.assertIn("'s' is no longer installed", self.get(audit).status_message)
        self.assertEqual(AuditState.SUCCEEDED, self.get(audits[AuditState.SUCCEEDED]).state)
        self.assertEqual(AuditState.PENDING, self.get(other).state)
        self.assertEqual(
            [RunState.CANCELLED, RunState.QUEUED], [self.get(run).state for run in waiting]
        )
        self.assertEqual(
            [PlanState.CANCELLED, PlanState.PENDING, PlanState.SUCCEEDED],
            [self.get(plan).state for plan in plans.values()],
        )
        self.assertEqual(ActionState.CANCELLED, self.get(action).state)
        self.assertIsNone(self.get(template).strategy_id)

    def test_a_goal_that_is_gone_takes_its_strategies_and_audits_with_it(self):
        self.sync(
            goals={"g": goal("G"), "h": goal("H")},
            strategies={"s": strategy("g")},
        )
        with self.database.writer() as session:
            audit = factories.audit(session, self.rows(models.Goal)["g"])
        made = self.catalog(goals={"h": goal("H")}, strategies={"s": strategy("g")})
        self.database.write(lambda session: made.sync(session, LATER))
        self.assertEqual({"h"}, self.rows(models.Goal).keys())
        self.assertEqual({}, self.rows(models.Strategy))
        self.assertEqual(AuditState.CANCELLED, self.get(audit).state)
        self.assertIn("'g' is no longer installed", self.get(audit).status_message)

    def test_what_belongs_to_goals_that_were_deleted_before_ends(self):
        with self.database.writer() as session:
            audits = {}
            for name in ("gone", "back"):
                deleted = factories.goal(session, name=name, deleted=99, deleted_at=NOW)
                audits[name] = factories.audit(session, deleted)
            kept = factories.goal(session, name="h")
            former = factories.strategy(session, kept, name="former", deleted=99, deleted_at=NOW)
            of_former = factories.audit(session, strategy=former, audit_type=AuditType.EVENT)
        self.sync(now=LATER, goals={"back": goal("B"), "h": goal("H")})
        self.assertEqual(AuditState.PENDING, self.get(audits["back"]).state)
        for name, audit in (("gone", audits["gone"]), ("former", of_former)):
            self.assertEqual(AuditState.CANCELLED, self.get(audit).state)
            self.assertIn(f"'{name}' is no longer installed", self.get(audit).status_message)

    def test_a_name_may_come_back(self):
        for goals in ({"g": goal("G")}, {}, {"g": goal("G")}):
            self.sync(goals=goals)
        self.assertEqual({"g"}, self.rows(models.Goal).keys())

    def test_the_command_syncs_once(self):
        path = self.conf.database.connection
        with (
            mock.patch.object(sys, "argv", ["watcher-sync"]),
            mock.patch("watcher.conf.load", return_value=self.conf),
            mock.patch("oslo_log.log.setup"),
        ):
            sync.main()
        self.assertIn("dummy", self.rows(models.Strategy), path)

    def get(self, row):
        with self.database.reader() as session:
            return session.get_one(type(row), row.id)
