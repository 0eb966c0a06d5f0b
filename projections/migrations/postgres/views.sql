-- The read models of one generation, in a schema of its own: as in migrations/sqlite, column by column.
-- Times are microseconds since 1970 UTC, ids are 16 bytes, JSON is text. Text is compared by its bytes, as
-- SQLite does, whatever the data base's own order is.
-- Nothing here is the truth: every row can be made again from the log.

-- Owned by `projection`: how far the log is folded into the tables below. One row.
create table checkpoint (
    id       bigint primary key check (id = 1),
    -- the code's VERSION that made these tables; another version starts a new generation
    version  bigint not null,
    -- the last commit whose rows are all here
    position bigint not null,
    -- the hash of that commit: it says whose log this is. Zeros before the first commit
    hash     bytea  not null,
    -- of the lease under which it moved last; who holds a lower one writes no more
    fence    bigint not null
);

-- Tells the other nodes how far this generation is.
create trigger moved after update of position on checkpoint
    for each row execute function wharf_views.moved();

-- Owned by `projection`: events that no projector could fold. A person must look at each.
create table parked (
    position bigint not null,
    -- which event of the commit; -1 is the commit as a whole
    idx      bigint not null,
    stream   text collate "C" not null,
    reason   text collate "C" not null,
    primary key (position, idx)
);

-- Owned by `integrations`: one row an integration; a deleted one has none.
create table integration (
    id                 bytea primary key,
    -- position of its creation: eight bytes by which its records name it
    number             bigint not null,
    project            text collate "C" not null,
    integration_type   text collate "C" not null,
    name               text collate "C" not null,
    configuration      text collate "C" not null,
    sync_settings      text collate "C" not null,
    status             text collate "C" not null,
    open_run           bytea,
    open_fence         bigint,
    -- highest fence granted
    fence              bigint not null,
    next_run_at        bigint,
    last_sync_at       bigint,
    sync_error_message text collate "C",
    created_by         text collate "C" not null,
    created_at         bigint not null,
    updated_at         bigint not null,
    revision           bigint not null,
    position           bigint not null
);
-- lists of a project, newest first
create index integration_by_project on integration (project, number);

-- Owned by `integrations`: which credential an integration uses. It may be stored before the integration
-- is created.
create table credential (
    integration     bytea not null,
    project         text collate "C" not null,
    auth_type       text collate "C" not null,
    auth_generation bigint not null,
    primary key (integration, project)
);

-- Owned by `syncs`: one row a run.
create table run (
    integration     bytea not null,
    id              bytea not null,
    project         text collate "C" not null,
    sync_type       text collate "C" not null,
    triggered_by    text collate "C" not null,
    state           text collate "C" not null,
    started_at      bigint not null,
    ended_at        bigint,
    pages           bigint not null,
    records         bigint not null,
    deleted         bigint not null,
    skipped         text collate "C" not null,
    failure         text collate "C",
    fence           bigint not null,
    -- how the journal says that it ended; what comes after is dropped
    ended           text collate "C",
    -- the last kept page, whose seal holds the cursor
    cursor_position bigint,
    cursor_idx      bigint,
    position        bigint not null,
    primary key (integration, id)
);
-- logs of an integration, newest first
create index run_by_position on run (integration, position);

-- Owned by `records`: one row a record, replaced by each later record with its key.
create table record (
    -- integration.number
    owner    bigint not null,
    -- position * 2^20 + the record's number in its commit: the order of listing, the cursor of readers
    seq      bigint not null,
    key      bytea not null,
    model    text collate "C" not null,
    start_us bigint,
    deleted  bigint not null,
    -- the record as it lies in its page
    body     text collate "C" not null,
    primary key (owner, seq)
);
create unique index record_by_key on record (owner, key);
-- lists and counts of a model
create index record_live on record (owner, model, seq) where deleted = 0;

-- Owned by `webhooks`: one row a webhook; a deleted one has none.
create table webhook (
    id                bytea primary key,
    -- position of its creation: eight bytes by which its attempts name it
    number            bigint not null,
    project           text collate "C" not null,
    definition        text collate "C" not null,
    is_active         bigint not null,
    secret_hint       text collate "C" not null,
    disabled_reason   text collate "C",
    last_triggered_at bigint,
    success_count     bigint not null,
    failure_count     bigint not null,
    created_by        text collate "C" not null,
    created_at        bigint not null,
    updated_at        bigint not null,
    revision          bigint not null,
    position          bigint not null
);
-- lists of a project, newest first
create index webhook_by_project on webhook (project, number);

-- Owned by `webhooks`: what a webhook was from a position on, until its next version.
create table webhook_version (
    webhook    bytea not null,
    position   bigint not null,
    project    text collate "C" not null,
    definition text collate "C" not null,
    primary key (webhook, position)
);
create index webhook_version_by_project on webhook_version (project, webhook, position);

-- Owned by `webhooks`: one row a kept attempt of a delivery.
create table attempt (
    -- webhook.number
    owner            bigint not null,
    message          bytea not null,
    attempt          bigint not null,
    topic            text collate "C" not null,
    -- HTTP status, if there was an answer
    status           bigint,
    succeeded        bigint not null,
    -- why it failed
    reason           text collate "C",
    started_at       bigint not null,
    duration_ms      bigint not null,
    next_attempt_at  bigint,
    -- no further attempt follows
    settled          bigint not null,
    message_position bigint not null,
    message_idx      bigint not null,
    position         bigint not null,
    idx              bigint not null,
    primary key (owner, message, attempt)
);
-- logs of a webhook, newest first
create index attempt_by_position on attempt (owner, position, idx);

-- Owned by `messages`: one row a message; its payload stays sealed in the log.
create table message (
    id           bytea not null,
    project      text collate "C" not null,
    topic        text collate "C" not null,
    time         bigint not null,
    bytes        bigint not null,
    only_webhook bytea,
    position     bigint not null,
    idx          bigint not null,
    primary key (id, project)
);

-- Owned by `timers`: what is due some day; the event that settles it removes it.
create table timer (
    -- webhook_retry or sync_due
    kind             text collate "C" not null,
    -- the webhook, or the integration
    subject          bytea not null,
    -- the message; 16 zero bytes for sync_due
    item             bytea not null,
    due              bigint not null,
    project          text collate "C" not null,
    -- webhook_retry: where the message lies, and the attempt to make
    message_position bigint not null,
    message_idx      bigint not null,
    attempt          bigint not null,
    -- the event that set it
    position         bigint not null,
    idx              bigint not null,
    primary key (kind, subject, item)
);
create index timer_by_due on timer (kind, due);
