"""What a subscriber of `infra/deploy/nats/accounts.conf` could try: answers what became of each as JSON.

    python trespass.py URL
"""

import asyncio
import json
import sys

import nats

FILTER = "evt.*.acme.>"
CONSUMER = {"name": "acme-reader", "filter_subject": FILTER, "ack_policy": "explicit"}


def create(to, filter, **changes):
    config = {**CONSUMER, **changes}
    subject = f"CONSUMER.CREATE.WHARF.{to}" + (f".{filter}" if filter else "")
    return subject, {"stream_name": "WHARF", "config": {k: v for k, v in config.items() if v is not None}}


# What it may do, by its prefix.
ALLOWED = {
    "create": create("acme-reader", FILTER),
    "info": ("CONSUMER.INFO.WHARF.acme-reader", {}),
    "delete": ("CONSUMER.DELETE.WHARF.acme-reader", {}),
}
# What it may not, by its prefix and by the server's own.
FORBIDDEN = {
    "another project": create("acme-reader", "evt.*.other.>", filter_subject="evt.*.other.>"),
    "every project": create("acme-reader", "evt.>", filter_subject="evt.>"),
    "any project": create("acme-reader", "evt.*.*.>", filter_subject="evt.*.*.>"),
    "another project in the body": create("acme-reader", FILTER, filter_subject="evt.*.other.>"),
    "two projects in the body": create("acme-reader", FILTER, filter_subject=None, filter_subjects=[FILTER, "evt.>"]),
    "both kinds of filter": create("acme-reader", FILTER, filter_subjects=["evt.*.other.>"]),
    "no filter": create("acme-reader", None, filter_subject=None),
    "another consumer": create("deliver", FILTER, name="deliver"),
    "another consumer in the body": create("acme-reader", FILTER, name=None, durable_name="deliver"),
    "the old way to create": ("CONSUMER.CREATE.WHARF", {"stream_name": "WHARF", "config": {}}),
    "the old way to create durably": (
        "CONSUMER.DURABLE.CREATE.WHARF.acme-reader",
        {"stream_name": "WHARF", "config": {"durable_name": "acme-reader"}},
    ),
    "deliver into the log": create("acme-reader", FILTER, deliver_subject="evt.00.acme.message.main"),
    "another consumer's messages": ("CONSUMER.MSG.NEXT.WHARF.deliver", {"batch": 1}),
    "delete another consumer": ("CONSUMER.DELETE.WHARF.deliver", {}),
    "list consumers": ("CONSUMER.NAMES.WHARF", {}),
    "direct get": ("DIRECT.GET.WHARF", {"seq": 1}),
    "direct get by subject": ("DIRECT.GET.WHARF.evt.00.other.message.main", None),
    "get": ("STREAM.MSG.GET.WHARF", {"seq": 1}),
    "stream info": ("STREAM.INFO.WHARF", {}),
    "stream update": ("STREAM.UPDATE.WHARF", {"name": "WHARF", "subjects": ["evt.>"]}),
    "purge": ("STREAM.PURGE.WHARF", {}),
    "delete a message": ("STREAM.MSG.DELETE.WHARF", {"seq": 1}),
    "delete the stream": ("STREAM.DELETE.WHARF", {}),
    "snapshot": ("STREAM.SNAPSHOT.WHARF", {"deliver_subject": "here"}),
}


async def ask(client, subject, body):
    """`done`, or how it was refused."""
    payload = b"" if body in (None, {}) else json.dumps(body).encode()
    try:
        answer = await client.request(subject, payload, timeout=5)
    except nats.errors.NoRespondersError:
        return "nobody answers"
    except nats.errors.TimeoutError:
        return "no answer"
    if answer.headers and "Status" in answer.headers:
        return f"status {answer.headers['Status']}"
    try:
        said = json.loads(answer.data)
    except ValueError:
        return "done"
    error = said.get("error") if isinstance(said, dict) else None
    return f"error {error['err_code']}" if error else "done"


async def main(url):
    client = await nats.connect(url)
    outcomes = {}
    for name, (subject, body) in FORBIDDEN.items():
        for prefix in ("wharf", "$JS.API"):
            outcomes[f"{name} ({prefix})"] = await ask(client, f"{prefix}.{subject}", body)
    for subject in ("evt.00.acme.message.main", "evt.00.other.message.main"):
        outcomes[f"publish {subject}"] = await ask(client, subject, {"forged": True})
    outcomes["allowed: create"] = await ask(client, *prefixed("create"))
    # The answers to what is allowed, sent where the log takes messages.
    for subject in ("CONSUMER.INFO.WHARF.acme-reader", "CONSUMER.MSG.NEXT.WHARF.acme-reader"):
        await client.publish(f"wharf.{subject}", b"", reply="evt.00.acme.message.main")
    await client.flush()
    js = client.jetstream(prefix="wharf")
    reader = await js.pull_subscribe_bind(consumer="acme-reader", stream="WHARF")
    message = (await reader.fetch(1, timeout=5))[0]
    await message.ack_sync(timeout=5)
    await reader.unsubscribe()
    outcomes["allowed: read"] = message.subject
    outcomes["allowed: acknowledged"] = (await js.consumer_info("WHARF", "acme-reader")).ack_floor.stream_seq
    outcomes["allowed: info"] = await ask(client, *prefixed("info"))
    outcomes["allowed: delete"] = await ask(client, *prefixed("delete"))
    await client.close()
    print(json.dumps(outcomes))


def prefixed(name):
    subject, body = ALLOWED[name]
    return f"wharf.{subject}", body


asyncio.run(main(sys.argv[1]))
