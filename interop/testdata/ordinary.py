"""Ordinary work of a Python program on redis-py: python ordinary.py cluster|single host port"""

import sys
import threading

import redis
from redis.exceptions import LockError, LockNotOwnedError


def check(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def work(r, tag):
    check(r.set("key", "value", ex=100), True)
    check(r.get("key"), "value")
    check(r.get("nothing"), None)
    check(r.set("key", "other", nx=True), None)
    check(r.incrby("n", 41), 41)
    check(r.append("key", "!"), 6)
    check(r.getrange("key", 0, 2), "val")
    check(0 < r.ttl("key") <= 100, True)
    check(r.mset({f"{tag}a": 1, f"{tag}b": 2}), True)
    check(r.mget(f"{tag}a", f"{tag}b", f"{tag}c"), ["1", "2", None])
    check(r.rename(f"{tag}a", f"{tag}c"), True)
    check(r.type(f"{tag}c"), "string")

    pipe = r.pipeline(transaction=False) if tag == "" else r.pipeline()
    for i in range(500):
        pipe.set(f"many:{i}", i)
    check(all(pipe.execute()), True)
    check(sorted(r.scan_iter("many:*", count=50)), sorted(f"many:{i}" for i in range(500)))

    try:
        r.incr("key")
    except redis.ResponseError as e:
        check(str(e), "value is not an integer or out of range")
    else:
        raise AssertionError("INCR of a text passed")

    listener = r.pubsub()
    listener.subscribe("news")
    check(listener.get_message(timeout=20)["type"], "subscribe")
    r.publish("news", "hello")
    check(listener.get_message(timeout=20)["data"], "hello")
    listener.close()
    check(r.delete("key"), 1)


def transactions(r):
    with r.pipeline() as pipe:
        check(pipe.set("tx", 1).incr("tx").get("tx").execute(), [True, 2, "2"])
        pipe.watch("tx")
        r.set("tx", 10)
        pipe.multi()
        pipe.incr("tx")
        try:
            pipe.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("EXEC after a change of a watched key passed")
    check(r.get("tx"), "10")

    def double(pipe):
        n = int(pipe.get("tx"))
        pipe.multi()
        pipe.set("tx", 2 * n)
        pipe.get("tx")

    check(r.transaction(double, "tx"), [True, "20"])
    with r.pipeline() as pipe:
        pipe.set("tx", "text").incr("tx").set("tx", 7)
        replies = pipe.execute(raise_on_error=False)
        check([replies[0], str(replies[1]), replies[2]], [True, "value is not an integer or out of range", True])
    r.select(3)
    check(r.dbsize(), 0)


def refused(error, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{f} passed")


def locks(r):
    """The library's lock: SET NX PX, and scripts that give it back, extend it and set its time anew."""
    mine, other = r.lock("lock", timeout=100), r.lock("lock", timeout=100, blocking=False)
    check(mine.acquire(), True)
    check(other.acquire(), False)
    check((mine.locked(), mine.owned(), other.owned()), (True, True, False))
    check(0 < r.pttl("lock") <= 100_000, True)
    check(mine.extend(1000), True)
    check(1_000_000 < r.pttl("lock") <= 1_100_000, True)
    check(mine.extend(50, replace_ttl=True), True)
    check(0 < r.pttl("lock") <= 50_000, True)
    check(mine.reacquire(), True)
    check(50_000 < r.pttl("lock") <= 100_000, True)
    refused(LockError, other.release)
    r.set("lock", "somebody else's")
    refused(LockNotOwnedError, mine.reacquire)
    refused(LockNotOwnedError, mine.extend, 10)
    refused(LockNotOwnedError, mine.release)
    r.delete("lock")
    with r.lock("lock", timeout=100):
        check(r.lock("lock", blocking_timeout=0.01).acquire(), False)
    check(r.exists("lock"), 0)


def contention(connect):
    """Two that wait for a lock change a number in turns, and lose nothing."""
    turns = 50
    failures = []

    def work():
        try:
            r = connect()
            for _ in range(turns):
                with r.lock("turns", timeout=100, sleep=0.001):
                    r.set("sum", int(r.get("sum") or 0) + 1)
        except Exception as e:
            failures.append(e)

    both = [threading.Thread(target=work) for _ in range(2)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    check(failures, [])
    check(connect().get("sum"), str(2 * turns))


mode, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "cluster":
    def connect():
        return redis.RedisCluster(host=host, port=port, decode_responses=True)
    work(connect(), "{tag}")
else:
    def connect():
        return redis.Redis(host=host, port=port, decode_responses=True)
    work(connect(), "")
    transactions(redis.Redis(host=host, port=port, decode_responses=True, single_connection_client=True))
locks(connect())
contention(connect)
print("done")
