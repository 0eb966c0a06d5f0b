"""Follows one project in the event log: a line of JSON for each event, in the log's order.

    python follow.py nats://user:password@host:4222 PROJECT POSITION_FILE

The file keeps the position of the last commit that was handled, so that the next start goes on there.
Replace `handle` by what your program does with an event.
"""

import argparse
import asyncio
import json
import os
import sys
from contextlib import aclosing

import nats
from nats.errors import NoRespondersError, TimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

# Commits asked for at once, and how long the server waits for the first of them.
BATCH = 100
WAIT_SECONDS = 5
# The server forgets a consumer that nobody asked for so long.
FORGET_SECONDS = 300


class Gap(Exception):
    """The server sent what never arrived. It does not send it again: go back to where we were."""


def handle(position, index, event):
    """What you do with an event. It is repeated if the program ends before its position is saved."""
    print(json.dumps({"position": position, "index": index, "event": event}), flush=True)


def load(path):
    """The position to go on after; 0 is before everything."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def save(path, position):
    """Replaces the file as a whole: it holds the old position or the new one, never half of either."""
    beside = f"{path}.new"
    with open(beside, "w", encoding="ascii") as file:
        file.write(f"{position}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def events(message, types):
    """The wanted events of a commit, each with its index."""
    # The header spares parsing what is not wanted. It is left out where it would be too long.
    header = (message.headers or {}).get("Wharf-Types")
    if types and header and types.isdisjoint(header.split(",")):
        return
    for index, event in enumerate(json.loads(message.data)):
        if not types or event["type"] in types:
            yield index, event


async def open_consumer(js, args, position):
    """A consumer that begins after `position`. There is one of its name: only one program may use it."""
    try:
        await js.delete_consumer(args.stream, args.name)
    except NotFoundError:
        pass
    config = ConsumerConfig(
        name=args.name,
        filter_subject=f"{args.subjects}.*.{args.project}.>",
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=position + 1,
        # The position is kept here and not by the server: there is nothing to acknowledge.
        ack_policy=AckPolicy.NONE,
        inactive_threshold=FORGET_SECONDS,
    )
    await js.add_consumer(args.stream, config)
    return await js.pull_subscribe_bind(consumer=args.name, stream=args.stream)


async def commits(js, args, position):
    """Every commit after `position`, and None whenever the end is reached."""
    while True:
        consumer, number = None, 0
        try:
            consumer = await open_consumer(js, args, position)
            while True:
                try:
                    batch = await consumer.fetch(BATCH, timeout=WAIT_SECONDS)
                except TimeoutError:
                    # Nothing new, or nobody there: this fails if the consumer is gone.
                    await consumer.consumer_info()
                    yield None
                    continue
                for message in batch:
                    number += 1
                    if message.metadata.sequence.consumer != number:
                        raise Gap("messages were lost with a connection")
                    position = message.metadata.sequence.stream
                    yield message
                    if message.metadata.num_pending == 0:
                        yield None
        except (APIError, Gap, NoRespondersError, TimeoutError) as error:
            print(f"opening the consumer again: {error!r}", file=sys.stderr)
            await asyncio.sleep(1)
        finally:
            if consumer:
                await consumer.unsubscribe()


async def main(args):
    client = await nats.connect(args.url, name="follow.py", max_reconnect_attempts=-1)
    js = client.jetstream(prefix=args.api)
    left = args.limit
    async with aclosing(commits(js, args, load(args.position_file))) as followed:
        async for message in followed:
            if message is None:
                if args.once:
                    break
                continue
            position = message.metadata.sequence.stream
            for index, event in events(message, set(args.type)):
                handle(position, index, event)
            save(args.position_file, position)
            left -= 1
            if left == 0:
                break
    await client.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="nats://user:password@host:4222")
    parser.add_argument("project")
    parser.add_argument("position_file")
    parser.add_argument("--type", action="append", default=[], help="only this type; may be repeated")
    parser.add_argument("--once", action="store_true", help="stop at the end of the log")
    parser.add_argument("--limit", type=int, default=0, help="stop after so many commits")
    parser.add_argument("--name", help="the consumer's name; PROJECT-reader unless given")
    parser.add_argument("--api", default="$JS.API", help="where your account finds JetStream")
    parser.add_argument("--prefix", default="", help="the hub's log.nats_prefix")
    args = parser.parse_args()
    args.name = args.name or f"{args.project}-reader"
    args.stream = f"{args.prefix}_WHARF" if args.prefix else "WHARF"
    args.subjects = f"{args.prefix}.evt" if args.prefix else "evt"
    return args


if __name__ == "__main__":
    asyncio.run(main(arguments()))
