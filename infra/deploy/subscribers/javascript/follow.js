// Follows one project in the event log: a line of JSON for each event, in the log's order.
//
//     node follow.js nats://user:password@host:4222 PROJECT POSITION_FILE
//
// The file keeps the position of the last commit that was handled, so that the next start goes on there.
// Replace `handle` by what your program does with an event.

import { open, readFile, rename } from "node:fs/promises";
import { parseArgs } from "node:util";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";

// Commits asked for at once, and how long the server waits for the first of them.
const BATCH = 100;
const WAIT_MS = 5_000;
// The server forgets a consumer that nobody asked for so long.
const FORGET_MS = 300_000;
const CONSUMER_NOT_FOUND = 10014;

/** What you do with an event. It is repeated if the program ends before its position is saved. */
function handle(position, index, event) {
  process.stdout.write(`${JSON.stringify({ position, index, event })}\n`);
}

/** The position to go on after; 0 is before everything. */
async function load(path) {
  try {
    return Number(await readFile(path, "ascii"));
  } catch (error) {
    if (error.code === "ENOENT") return 0;
    throw error;
  }
}

/** Replaces the file as a whole: it holds the old position or the new one, never half of either. */
async function save(path, position) {
  const file = await open(`${path}.new`, "w");
  await file.writeFile(`${position}\n`);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
}

/** The wanted events of a commit, each with its index. */
function* events(message, types) {
  // The header spares parsing what is not wanted. It is left out where it would be too long.
  const header = message.headers?.get("Wharf-Types");
  if (types.size && header && !header.split(",").some((type) => types.has(type))) return;
  for (const [index, event] of message.json().entries()) {
    if (!types.size || types.has(event.type)) yield [index, event];
  }
}

/** A consumer that begins after `position`. There is one of its name: only one program may use it. */
async function openConsumer(client, args, position) {
  const manager = await jetstreamManager(client, { apiPrefix: args.api, checkAPI: false });
  try {
    await manager.consumers.delete(args.stream, args.name);
  } catch (error) {
    if (error.code !== CONSUMER_NOT_FOUND) throw error;
  }
  await manager.consumers.add(args.stream, {
    name: args.name,
    filter_subject: `${args.subjects}.*.${args.project}.>`,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: position + 1,
    // The position is kept here and not by the server: there is nothing to acknowledge.
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(FORGET_MS),
  });
  const js = jetstream(client, { apiPrefix: args.api, checkAPI: false });
  return js.consumers.get(args.stream, args.name);
}

/** Every commit after `position`, and `null` whenever the end is reached. */
async function* commits(client, args, position) {
  for (;;) {
    try {
      const consumer = await openConsumer(client, args, position);
      let number = 0;
      for (;;) {
        const batch = await consumer.fetch({ max_messages: BATCH, expires: WAIT_MS });
        let atEnd = true;
        for await (const message of batch) {
          number += 1;
          // Messages lost with a connection are not sent again: go back to where we were.
          if (message.info.deliverySequence !== number) throw new Error("messages were lost");
          position = message.info.streamSequence;
          yield message;
          atEnd = message.info.pending === 0;
          if (atEnd) yield null;
        }
        // Nothing new, or nobody there: this fails if the consumer is gone.
        if (atEnd && (await consumer.info()).num_pending === 0) yield null;
      }
    } catch (error) {
      process.stderr.write(`opening the consumer again: ${error}\n`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

function parsed() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      type: { type: "string", multiple: true, default: [] }, // only this type; may be repeated
      once: { type: "boolean", default: false }, // stop at the end of the log
      name: { type: "string" }, // the consumer's name; PROJECT-reader unless given
      api: { type: "string", default: "$JS.API" }, // where your account finds JetStream
      prefix: { type: "string", default: "" }, // the hub's log.nats_prefix
    },
  });
  if (positionals.length !== 3) {
    throw new Error("usage: node follow.js URL PROJECT POSITION_FILE [--once] [--type TYPE]...");
  }
  const [url, project, positionFile] = positionals;
  const prefix = values.prefix;
  return {
    ...values,
    url,
    project,
    positionFile,
    name: values.name ?? `${project}-reader`,
    stream: prefix ? `${prefix}_WHARF` : "WHARF",
    subjects: prefix ? `${prefix}.evt` : "evt",
  };
}

const args = parsed();
const { hostname, port, username, password } = new URL(args.url);
const client = await connect({
  servers: `${hostname}:${port || 4222}`,
  ...(username && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
  maxReconnectAttempts: -1,
});
const types = new Set(args.type);
for await (const message of commits(client, args, await load(args.positionFile))) {
  if (message === null) {
    if (args.once) break;
    continue;
  }
  for (const [index, event] of events(message, types)) handle(message.seq, index, event);
  await save(args.positionFile, message.seq);
}
await client.close();
