# SPDX-License-Identifier: Apache-2.0
import datetime
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watcher.cloud.compute import Host, Migration, Server
from watcher.cloud.metrics import Window
from watcher.common.errors import NotFound
from watcher.decision_engine.feedback import recent_moves
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
HOSTS = [host("h1", vcpus=10), host("h2", vcpus=20), host("h3", vcpus=10)]
CPU = "host_cpu_usage"


def ago(seconds: float) -> datetime.datetime:
    return NOW - datetime.timedelta(seconds=seconds)


def moved(
    name: str, source: str, destination: str, age: float | None, succeeded: bool = True
) -> Migration:
    """A migration that ended *age* seconds ago."""
    ended = None if age is None else ago(age)
    return Migration(uid(name), source, destination, ended, succeeded)


class Source:
    """Values of each metric by the name of a host or server; counts what it is asked."""

    name = "source"

    def __init__(self, **values: Mapping[str, float]) -> None:
        self.values, self.asked = values, []  # type: ignore[var-annotated]

    def read(self, name: str, resources: Sequence[Any], *how: Any) -> Mapping[str, float]:
        self.asked.append((name, sorted(uid_name(each) for each in resources), *how))
        if name not in self.values:
            raise NotFound(f"There is no {name}.")
        values = {uid(key): value for key, value in self.values[name].items()}
        return {each.uuid: values[each.uuid] for each in resources if each.uuid in values}

    host_metric = server_metric = read


class Windowed(Source):
    length, lag = 600.0, 0.0

    def window(self, now: datetime.datetime, period: int, granularity: int) -> Window:
        end = now - datetime.timedelta(seconds=self.lag)
        return end - datetime.timedelta(seconds=self.length), end


def uid_name(each: Host | Server) -> str:
    return each.hostname if isinstance(each, Host) else each.name


class HostLoadsTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.migrations: Collection[Migration] = []
        self.servers = [server("s1", "h2", vcpus=4), server("s2", "h1", vcpus=2)]
        self.since: list[datetime.datetime] = []
        self.source: Source = Source(
            host_cpu_usage={"h1": 60, "h2": 20, "h3": 5},
            host_ram_usage={"h1": 9000.0, "h2": 5000.0},
            instance_cpu_usage={"s1": 50, "s2": 100},
            instance_ram_usage={"s1": 2.0},
        )

    def made(self) -> recent_moves.HostLoads:
        def migrations(since: datetime.datetime) -> Sequence[Migration]:
            self.since.append(since)
            return [each for each in self.migrations if not each.ended or each.ended > since]

        return recent_moves.HostLoads(
            NOW,
            lambda: self.source,  # type: ignore[arg-type, return-value]
            migrations,
            lambda: self.servers,
        )

    def loads(
        self, name: str = CPU, hosts: Sequence[Host] = HOSTS, aggregate: str = "mean"
    ) -> dict[str, float]:
        values = self.made().metric(name, hosts, 600, aggregate, 300)
        return {each.hostname: values[each.uuid] for each in hosts if each.uuid in values}

    def test_without_moves_values_are_as_measured(self) -> None:
        self.assertEqual({"h1": 60, "h2": 20, "h3": 5}, self.loads())
        self.assertEqual([ago(600)], self.since)
        self.assertEqual(1, len(self.source.asked))

    def test_a_move_just_now_counts_in_full(self) -> None:
        """Half of 4 vCPUs are 20 % of 10 vCPUs, and 10 % of 20."""
        for age in (0, -3):
            self.migrations = [moved("s1", "h1", "h2", age)]
            self.assertEqual({"h1": 40, "h2": 30, "h3": 5}, self.loads())
        self.assertEqual(("instance_cpu_usage", ["s1"], 600, "mean", 300), self.source.asked[-1])

    def test_an_older_one_counts_for_what_the_average_has_from_before_it(self) -> None:
        self.migrations = [moved("s1", "h1", "h2", 150)]
        self.assertEqual({"h1": 45, "h2": 27.5, "h3": 5}, self.loads())
        self.migrations = [moved("s1", "h1", "h2", 600)]
        self.assertEqual({"h1": 60, "h2": 20, "h3": 5}, self.loads())

    def test_memory_is_kib_of_hosts_and_mib_of_servers(self) -> None:
        self.migrations = [moved("s1", "h1", "h2", 0)]
        self.assertEqual({"h1": 9000 - 2048, "h2": 5000 + 2048}, self.loads("host_ram_usage"))

    def test_moves_that_failed_or_are_under_way_have_moved_nothing(self) -> None:
        self.migrations = [moved("s1", "h1", "h2", 0, False), moved("s2", "h1", "h2", None, False)]
        self.assertEqual({"h1": 60, "h2": 20, "h3": 5}, self.loads())

    def test_moves_of_one_server_follow_each_other(self) -> None:
        self.migrations = [moved("s1", "h2", "h3", 300), moved("s1", "h1", "h2", 450)]
        self.assertEqual({"h1": 55, "h2": 20 + 2.5 - 5, "h3": 15}, self.loads())

    def test_no_load_is_below_zero(self) -> None:
        self.migrations = [moved("s2", "h3", "h1", 0)]
        self.assertEqual({"h1": 80, "h2": 20, "h3": 0}, self.loads())

    def test_a_host_outside_the_scope_is_none_of_ours(self) -> None:
        self.migrations = [moved("s1", "h1", "h2", 0)]
        self.assertEqual({"h2": 30, "h3": 5}, self.loads(hosts=HOSTS[1:]))
        self.assertEqual({"h3": 5}, self.loads(hosts=HOSTS[2:]))
        self.assertEqual(CPU, self.source.asked[-1][0], "no server is asked for")

    def test_an_unknown_use_hides_both_hosts(self) -> None:
        del self.source.values["instance_cpu_usage"]["s1"]  # type: ignore[attr-defined]
        self.migrations = [moved("s1", "h1", "h2", 0), moved("s2", "h2", "h1", 0)]
        self.assertEqual({"h3": 5}, self.loads())
        self.migrations = [moved("gone", "h1", "h3", 0)]
        self.assertEqual({"h2": 20}, self.loads())
        del self.source.values["instance_cpu_usage"]  # type: ignore[attr-defined]
        self.migrations = [moved("s2", "h1", "h3", 0)]
        self.assertEqual({"h2": 20}, self.loads())

    def test_a_stopped_server_without_measures_uses_nothing(self) -> None:
        self.servers = [server("off", "h2", state="stopped")]
        self.migrations = [moved("off", "h1", "h2", 0)]
        self.assertEqual({"h1": 60, "h2": 20, "h3": 5}, self.loads())

    def test_a_temperature_after_a_move_is_unknown(self) -> None:
        self.source.values["host_outlet_temp"] = dict.fromkeys(("h1", "h2", "h3"), 30)  # type: ignore[index]
        self.migrations = [moved("s1", "h1", "h2", 599)]
        self.assertEqual({"h3": 30}, self.loads("host_outlet_temp"))
        self.migrations = [moved("s1", "h1", "h2", 600)]
        self.assertEqual(3, len(self.loads("host_outlet_temp")))
        values = self.made().metric("host_outlet_temp", HOSTS, 30, "mean", 601)
        self.assertEqual([uid("h3")], list(values), "it is no older than a granule")

    def test_present_values_are_identified_without_keystone(self) -> None:
        source = Windowed(**self.source.values)
        source.length = 0
        self.source, self.migrations = source, [moved("s1", "h1", "h2", -1)]
        self.assertEqual({"h1": 60, "h2": 20, "h3": 5}, self.loads())
        self.assertEqual([], self.since)

    def test_the_datasource_knows_its_window(self) -> None:
        source = Windowed(**self.source.values)
        source.length, source.lag = 400, 100
        self.source, self.migrations = source, [moved("s1", "h1", "h2", 200)]
        self.assertEqual({"h1": 45, "h2": 27.5, "h3": 5}, self.loads())

    def test_the_servers_decide_if_a_source_is_late(self) -> None:
        source = Windowed(**self.source.values)
        source.length, source.lag = 400, 100
        source.values["host_cpu_usage"] = {"h1": 38, "h2": 5, "h3": 5}
        self.source, self.migrations = source, [moved("s1", "h1", "h2", 200)]
        self.assertEqual({"h1": 20, "h2": 10, "h3": 5}, self.loads())
        self.servers.append(server("s3", "h1"))  # of which nothing is measured
        self.assertEqual({"h1": 23, "h2": 10, "h3": 5}, self.loads())

    def test_migrations_are_asked_for_once(self) -> None:
        loads = self.made()
        for period in (600, 600, 300, 900, 600):
            loads.metric(CPU, HOSTS, period, "mean", 300)
        self.assertEqual([ago(600), ago(900)], self.since)

    def test_without_values_no_migrations_are_requested(self) -> None:
        self.assertEqual({}, self.loads(hosts=[host("h9")]))
        self.assertEqual([], self.since)

    def test_of_extremes_the_source_loses_the_highest(self) -> None:
        self.migrations = [moved("s1", "h1", "h2", 150)]
        self.assertEqual({"h1": 40, "h2": 20, "h3": 5}, self.loads(aggregate="max"))
        self.assertEqual({"h1": 60, "h2": 30, "h3": 5}, self.loads(aggregate="min"))


SECONDS = 120
MOVES = st.lists(
    st.tuples(
        st.integers(0, 3),  # server
        st.integers(0, 2),  # destination
        st.integers(-10, SECONDS + 60),  # age in seconds
    ),
    max_size=8,
)


class TestAnyMoves(TestCase):
    @given(MOVES, st.lists(st.integers(0, 100), min_size=4, max_size=4), st.data())
    def test_the_load_is_what_it_were_had_all_moved_before(
        self, moves: list[tuple[int, int, int]], uses: list[int], data: st.DataObject
    ) -> None:
        """Each second of the window is measured, while servers of constant use move."""
        aggregate = data.draw(st.sampled_from(["mean", "min", "max", "count"]))
        over_time = {"min": min, "max": max}.get(aggregate, statistics.fmean)
        place, migrations = dict.fromkeys(range(4), 0), []
        history = []
        for age in range(SECONDS + 60, -11, -1):
            for number, destination, when in moves:
                if when == age and place[number] != destination:
                    source, place[number] = place[number], destination
                    migrations.append(moved(f"s{number}", f"h{source}", f"h{destination}", age))
            if 0 < age <= SECONDS:
                history.append(dict(place))
        hosts = [host(f"h{number}", vcpus=10) for number in range(3)]

        def load(place: Mapping[int, int], at: int) -> float:
            return 7 + sum(uses[number] for number in place if place[number] == at)

        source = Source(
            host_cpu_usage={
                f"h{at}": over_time([load(then, at) for then in history]) for at in range(3)
            },
            instance_cpu_usage={f"s{number}": use for number, use in enumerate(uses)},
        )
        loads = recent_moves.HostLoads(
            NOW,
            lambda: source,  # type: ignore[arg-type, return-value]
            lambda since: migrations,
            lambda: [server(f"s{number}", "h0", vcpus=10) for number in range(4)],
        )
        found = loads.metric(CPU, hosts, SECONDS, aggregate, 60)
        for at, each in enumerate(hosts):
            self.assertAlmostEqual(load(place, at), found[each.uuid])
