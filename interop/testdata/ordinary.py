"""Ordinary work of a Python program on redis-py: python ordinary.py cluster|single host port"""

import sys

import redis


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
    r.select(3)
    check(r.dbsize(), 0)


mode, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "cluster":
    work(redis.RedisCluster(host=host, port=port, decode_responses=True), "{tag}")
else:
    client = redis.Redis(host=host, port=port, decode_responses=True)
    work(client, "")
    client = redis.Redis(host=host, port=port, decode_responses=True, single_connection_client=True)
    transactions(client)
print("done")
