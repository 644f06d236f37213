"""Which Redis the ledger is on, and what becomes of marks when it is another one."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.ledger import keys
from jobs.ledger.slices.writes import WriteStatus
from jobs.ledger.workers.failover import (
    ANSWERS_MS,
    LOST_MS,
    SAME,
    Change,
    Failover,
    Judgement,
    Recollection,
    Worked,
)
from tests.support.awaited import awaited
from tests.support.redis.own_redis import OwnRedis
from tests.support.redis.redis_servers import RedisServer, redis_server
from tests.support.small_ledger import NOW, Ledger, ledger_at
from tests.support.waiting import wait_until


async def ask(ledger: Ledger, worker: str = "w", number: int = 0) -> WriteStatus:
    """Open a slice anew and ask for a mark of its first response that has none."""
    part = await ledger.open(number, worker=worker)
    return await ledger.mark(part, next(e for e in part.entries if not e.record.attempts))


async def beat(ledger: Ledger, worker: str = "w", noted_ms: int = 0) -> int:
    """Beat as a worker that lives; return the moment that was noted."""
    return (await ledger.leases.renew(worker, noted_ms=noted_ms)).noted_ms


async def judge(
    ledger: Ledger,
    worker: str = "w",
    slices: Sequence[Worked] = (),
    reached_ms: int = 0,
    *,
    home: Failover | None = None,
    fresh: bool = False,
) -> Judgement | None:
    """Judge the data for a worker that has written as much as this one."""
    unsure = reached_ms == 0 and not fresh
    known = Recollection(worker, slices, ledger.written.ms, reached_ms, unsure)
    return await (home or Failover(ledger.redis)).judge(lambda: known, lambda: ledger.now_ms)


async def doubts(ledger: Ledger, *numbers: int) -> list[bool]:
    """Say of slices whether they are in doubt."""
    return [(await ledger.open(number)).doubted_ms > 0 for number in numbers]


def restarted(own_redis: OwnRedis, synced: str = "everysec") -> str:
    """Restart a Redis as one that does not sync each write by itself; return its address."""
    own_redis.kill()
    own_redis.start()
    own_redis.client.config_set("appendfsync", synced)
    return own_redis.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Run a durable Redis that the test may restart."""
    server = OwnRedis(tmp_path / "own")
    server.start()
    yield server
    server.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a primary and its replica."""
    with ExitStack() as servers:
        primary = servers.enter_context(redis_server(tmp_path / "primary"))
        of = ("--replicaof", "127.0.0.1", str(primary.port))
        replica = servers.enter_context(redis_server(tmp_path / "replica", *of))
        wait_until(lambda: replica.client.role()[3] == b"connected", "the replica is alone")
        yield primary, replica


@awaited
async def test_while_redis_is_the_same_nothing_is_doubted(redis_url: str) -> None:
    """As long as nothing happens to Redis, marks are granted and nothing is doubted."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        words = [await ask(ledger), await ask(ledger)]

        assert [WriteStatus.OK, WriteStatus.OK] == words
        assert SAME == await judge(ledger)
        assert 0 == (await ledger.batches.get("b")).doubted_ms


@pytest.mark.parametrize("synced", ["always", "everysec"])
@awaited
async def test_after_a_restart_nothing_is_marked_before_it_is_judged(
    own_redis: OwnRedis, synced: str
) -> None:
    """
    After a restart no mark is granted before it is judged; what was synced is believed.

    Where nobody remembers what was worked on, all that is open is in doubt.
    """
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(3)
        assert WriteStatus.OK == await ask(ledger)
    async with ledger_at(restarted(own_redis, synced)) as ledger:
        ledger.now_ms += 1
        refused = await ask(ledger)
        expected = SAME if synced == "always" else Judgement(Change.RESTARTED, ["b"])

        assert WriteStatus.WENT_BACK == refused
        assert expected == await judge(ledger)
        assert SAME == await judge(ledger)
        assert WriteStatus.OK == await ask(ledger)
        doubted = (await ledger.batches.get("b")).doubted_ms
    assert (0 if synced == "always" else NOW + 1) == doubted


@awaited
async def test_only_what_was_worked_on_is_doubted(own_redis: OwnRedis) -> None:
    """Where all workers live and remember, only what they had open is looked at."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2, 2, 2)
        assert [WriteStatus.OK] * 2 == [await ask(ledger), await ask(ledger, "v", 1)]
        noted = [await beat(ledger), await beat(ledger, "v")]
    async with ledger_at(restarted(own_redis)) as ledger:
        held = await ledger.open(0)
        unheard = await judge(ledger, slices=[("b", 0, 1)], reached_ms=noted[0])
        refused = await ask(ledger, "v", 2)
        told = await judge(ledger, "v", [("b", 1, 1), ("gone", 0, 1)], noted[1])

        assert (None, WriteStatus.WENT_BACK) == (unheard, refused)
        assert Judgement(Change.RESTARTED, ["b"], 2) == told
        assert SAME == await judge(ledger)
        assert WriteStatus.STALE == await ledger.mark(held, held.entries[1])
        assert [True, True, False] == await doubts(ledger, 0, 1, 2)
        assert WriteStatus.OK == await ask(ledger, "w", 2)


@awaited
async def test_who_does_not_answer(own_redis: OwnRedis) -> None:
    """Who may have worked on anything and does not say on what puts all in doubt, after a while."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2, 2)
        await ledger.enlist("dead")
        assert WriteStatus.OK == await ask(ledger)
        noted = await beat(ledger)
    async with ledger_at(restarted(own_redis)) as ledger:
        home = Failover(ledger.redis)
        waited = [await judge(ledger, slices=[("b", 0, 1)], reached_ms=noted, home=home)]
        ledger.now_ms += ANSWERS_MS - 1
        waited.append(await judge(ledger, reached_ms=noted, home=home))
        ledger.now_ms += 1

        assert [None, None] == waited
        assert Judgement(Change.RESTARTED, ["b"]) == await judge(
            ledger, reached_ms=noted, home=home
        )
        assert [True, True] == await doubts(ledger, 0, 1)


@awaited
async def test_more_is_lost_than_anybody_remembers(own_redis: OwnRedis) -> None:
    """Data that are older than the last seconds put all in doubt, whoever remembers what."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        noted = await beat(ledger)
        await ledger.redis.set(keys.BEATEN, noted - LOST_MS - 1)
    async with ledger_at(restarted(own_redis)) as ledger:
        told = await judge(ledger, slices=[("b", 0, 1)], reached_ms=noted)
        assert Judgement(Change.WENT_BACK, ["b"]) == told


@awaited
async def test_a_worker_that_is_not_on_the_crew(own_redis: OwnRedis) -> None:
    """A worker of an older version says nothing, so where one lives all is in doubt."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        noted = await beat(ledger)
        await ledger.redis.set(keys.worker("older"), b"{}")
    async with ledger_at(restarted(own_redis)) as ledger:
        assert Judgement(Change.RESTARTED, ["b"]) == await judge(ledger, reached_ms=noted)


@awaited
async def test_restarted_while_it_is_judged(own_redis: OwnRedis) -> None:
    """After another restart everybody is asked anew, also who had answered before."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2, 2)
        await ask(ledger)
        await ledger.enlist("v")
        noted = await beat(ledger)
    async with ledger_at(restarted(own_redis)) as ledger:
        first = await judge(ledger, slices=[("b", 0, 1)], reached_ms=noted)
    async with ledger_at(restarted(own_redis)) as ledger:
        ledger.now_ms += 1
        second = await judge(ledger, "v", reached_ms=noted)
        told = await judge(ledger, slices=[("b", 1, 1)], reached_ms=noted)

        assert (None, None) == (first, second)
        assert Judgement(Change.RESTARTED, ["b"], 1) == told
        assert [True, True] == await doubts(ledger, 0, 1)


@pytest.mark.parametrize(("epoch", "doubted"), [(1, False), (2, True)])
@awaited
async def test_a_slice_that_was_put_away(own_redis: OwnRedis, epoch: int, *, doubted: bool) -> None:
    """What had ended before the loss is not in doubt, unless a retry of it was lost."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2, 2)
        await ledger.finish(0)
        await ask(ledger, number=1)
        noted = await beat(ledger)
    async with ledger_at(restarted(own_redis)) as ledger:
        told = await judge(ledger, slices=[("b", 0, epoch)], reached_ms=noted)

        assert told is not None
        assert (None if doubted else 0, doubted) == (
            told.slices,
            (await ledger.batches.get("b")).doubted_ms > 0,
        )


@awaited
async def test_all_of_many_batches_are_doubted(own_redis: OwnRedis) -> None:
    """However many batches there are, and whatever else stands among them, all are doubted."""
    names = [f"batch-{number}" for number in range(9_000)]
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        async with ledger.redis.pipeline(transaction=False) as pipe:
            pipe.sadd(keys.ACTIVE, b"\xff", *names)
            for name in names:
                pipe.hset(keys.batch(name), "fingerprint", "f")
            await pipe.execute()
    async with ledger_at(restarted(own_redis)) as ledger:
        told = await judge(ledger)
        assert told is not None
        assert {"b", *names} <= {*told.batches}
        assert str(NOW).encode() == await ledger.redis.hget(keys.batch(names[-1]), "doubted_ms")
        assert not await ledger.redis.exists(keys.batch("\ufffd"))


@awaited
async def test_a_judge_that_dies_is_replaced_and_grants_nothing(own_redis: OwnRedis) -> None:
    """As long as nobody has come to the end of it, no mark is granted, and another goes on."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
    async with ledger_at(restarted(own_redis)) as ledger:
        home = Failover(ledger.redis)
        names = [keys.HOME, keys.WRITTEN, keys.INQUIRY, keys.ASKED, keys.CREW, keys.BEATEN]
        await home._scripts["home"](names, [NOW, 0, 0])
        refused = [await ask(ledger), await ask(ledger, "v")]

        assert [WriteStatus.WENT_BACK] * 2 == refused
        assert Judgement(Change.RESTARTED, ["b"]) == await judge(ledger)


@awaited
async def test_a_beat_on_a_redis_that_is_not_judged(own_redis: OwnRedis) -> None:
    """A beat tells of a Redis that has to be judged, and does not cover up what it has lost."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        noted = await beat(ledger)
        later = await ledger.leases.renew("w", noted_ms=noted + 60_000)
    assert (True, 0, True) == (later.renewed, later.noted_ms, later.forgetful)
    async with ledger_at(restarted(own_redis)) as ledger:
        first = await ledger.leases.renew("w", noted_ms=noted)
        kept = int(await ledger.redis.get(keys.BEATEN))
        await judge(ledger, reached_ms=noted)
        after = await ledger.leases.renew("w", noted_ms=noted)

        assert (True, noted) == (first.forgetful, kept)
        assert (False, True) == (after.forgetful, after.noted_ms >= noted)


@awaited
async def test_what_a_beat_does_not_note(redis_url: str) -> None:
    """Who is new covers up nothing, and a clock of Redis that was set back shows nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        first = await ledger.leases.renew("w", new=True)
        again = await ledger.leases.renew("w", noted_ms=first.noted_ms, new=True)
        ahead = first.noted_ms + 60_000
        await ledger.redis.set(keys.BEATEN, ahead)
        behind = await ledger.leases.renew("w", noted_ms=ahead)

        assert (True, 0, 0) == (first.noted_ms > 0, again.noted_ms, behind.noted_ms)
        assert ahead == int(await ledger.redis.get(keys.BEATEN))
        assert not behind.forgetful


@awaited
async def test_no_batch_is_without_a_home(own_redis: OwnRedis) -> None:
    """A loss is noticed too that has taken the first mark there ever was."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
    async with ledger_at(restarted(own_redis)) as ledger:
        assert WriteStatus.WENT_BACK == await ask(ledger)


@awaited
async def test_a_clean_stop_and_start(own_redis: OwnRedis) -> None:
    """Where all workers had resigned before Redis was restarted, nothing is in doubt."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        await ledger.leases.resign("w")
    async with ledger_at(restarted(own_redis)) as ledger:
        await ledger.enlist("new")
        assert Judgement(Change.RESTARTED, [], 0) == await judge(ledger, "new", fresh=True)
        assert [False] == await doubts(ledger, 0)


@awaited
async def test_a_servers_word_is_not_believed_against_known_losses(own_redis: OwnRedis) -> None:
    """What a server says of itself now is not believed against who knows that something is lost."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2, 2)
        await ask(ledger)
        noted = await beat(ledger)
        await ledger.enlist("v")
    async with ledger_at(restarted(own_redis, "always")) as ledger:
        unheard = await judge(ledger, "v", [("b", 1, 1)], noted)
        told = await judge(ledger, slices=[("b", 0, 1)], reached_ms=noted + 400)

        assert (None, ["b"]) == (unheard, told.batches if told else [])
        assert [True, False] == await doubts(ledger, 0, 1)


@awaited
async def test_a_retry_that_was_lost(own_redis: OwnRedis) -> None:
    """A batch that is over is in doubt too, for a retry of it may be what was lost."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(1)
        await ask(ledger)
        await ledger.finish(0)
        await ledger.batches.announce(await ledger.batches.get("b"))
    async with ledger_at(restarted(own_redis)) as ledger:
        assert Judgement(Change.RESTARTED, []) == await judge(ledger)
        assert (await ledger.batches.get("b")).doubted_ms > 0


@awaited
async def test_a_later_doubt_counts_whatever_clock_it_is_by(own_redis: OwnRedis) -> None:
    """A later doubt is the later one, and is waited for as long, whatever clock it is by."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        await ledger.enlist("v")
        noted = await beat(ledger)
    moments = []
    for number, ahead_ms in enumerate((4_900, 0)):
        async with ledger_at(restarted(own_redis)) as ledger:
            ledger.now_ms += number
            first = await judge(ledger, slices=[("b", 0, 9)], reached_ms=noted)
            ledger.now_ms += ahead_ms
            waited = await judge(ledger, slices=[], reached_ms=noted)
            last = await judge(ledger, "v", [("b", 0, 9)], noted)
            moments.append((await ledger.open()).doubted_ms)

        assert (None, None, 1) == (first, waited, last.slices if last else 0)
    assert moments[0] < moments[1]


@awaited
async def test_workers_of_an_older_version_are_on_the_crew(redis_url: str) -> None:
    """Those that live when a worker starts are on the crew, and answer nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.enlist("w")
        await ledger.redis.set(keys.worker("older"), b"{}")
        beside = await ledger.crew.has_strangers_beside()
        await ledger.crew.take_in_strangers()

        assert (True, False) == (beside, await ledger.crew.has_strangers_beside())
        assert {b"w": b"w", b"older": b"older"} == await ledger.redis.hgetall(keys.CREW)


@awaited
async def test_dead_members_are_struck_off_the_crew(redis_url: str) -> None:
    """Who has resigned is on the crew no more; who is dead is struck off, unless it comes back."""
    async with ledger_at(redis_url) as ledger:
        added = [
            await ledger.leases.enlist("lease-1", process="p"),
            await ledger.leases.enlist("lease-2", process="p"),
            await ledger.leases.enlist("lease-3", process="q"),
            await ledger.leases.enlist("lease-4", process="r"),
        ]
        await ledger.leases.resign("lease-4", process="r")
        await ledger.redis.delete(keys.worker("lease-2"), keys.worker("lease-3"))
        dead = await ledger.crew.dead()
        await ledger.leases.enlist("lease-5", process="p")
        await ledger.crew.strike_off(dead)

        assert [True, False, True, True] == added
        assert {("p", "lease-2"), ("q", "lease-3")} == dead
        assert {b"p": b"lease-5"} == await ledger.redis.hgetall(keys.CREW)


@pytest.mark.parametrize(
    ("appendonly", "appendfsync", "waits"),
    [("yes", "always", False), ("yes", "everysec", True), ("no", "everysec", False)],
)
@awaited
async def test_a_new_worker_waits_until_it_is_on_disk(
    own_redis: OwnRedis, appendonly: str, appendfsync: str, *, waits: bool
) -> None:
    """A new worker waits until it is on the disk, where that takes time and makes a difference."""
    own_redis.client.config_set("appendonly", appendonly)
    own_redis.client.config_set("appendfsync", appendfsync)
    async with ledger_at(own_redis.url) as ledger:
        assert waits is (await Failover(ledger.redis).settles_in_ms() > 0)


@awaited
async def test_a_user_who_may_not_ask(own_redis: OwnRedis) -> None:
    """Where nobody says that all was synced, a restart is taken for a loss."""
    async with ledger_at(own_redis.url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
    own_redis.kill()
    own_redis.start()
    own_redis.client.execute_command("ACL SETUSER u on >secret ~* +@all -config")
    login = own_redis.url.replace("?", "?username=u&password=secret&")
    async with ledger_at(login) as ledger:
        assert Judgement(Change.RESTARTED, ["b"]) == await judge(ledger)


@awaited
async def test_after_a_failover_nothing_is_granted_before_all_is_in_doubt(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    """On a replica that was promoted nothing is granted to anybody before all is in doubt."""
    primary, replica = pair
    async with ledger_at(primary.url) as ledger:
        await ledger.submit(3)
        await ask(ledger)
        primary.client.wait(1, 5_000)
    replica.client.replicaof("NO", "ONE")
    async with ledger_at(replica.url) as one, ledger_at(replica.url) as other:
        part = await other.open(worker="other")
        refused = [await ask(one, "one"), await other.mark(part, part.entries[1])]
        judged = [
            await judge(each, name) for each, name in ((one, "w"), (one, "one"), (other, "other"))
        ]
        stale = await other.mark(part, part.entries[1])

        assert [WriteStatus.WENT_BACK] * 2 == refused
        assert [None, None, Judgement(Change.FAILED_OVER, ["b"])] == judged
        assert SAME == await judge(one, "one")
        assert WriteStatus.STALE == stale
        assert WriteStatus.OK == await ask(one, "one")


@awaited
async def test_another_history_of_the_same_run(redis_url: str) -> None:
    """A Redis that only begins another history, for want of replicas, has lost nothing."""
    async with ledger_at(redis_url) as ledger:
        await ledger.submit(2)
        await ask(ledger)
        _, run = (await ledger.redis.get(keys.HOME)).split()
        await ledger.redis.set(keys.HOME, b"0a1b2c " + run)

        assert WriteStatus.WENT_BACK == await ask(ledger)
        assert SAME == await judge(ledger)
        assert WriteStatus.OK == await ask(ledger)
