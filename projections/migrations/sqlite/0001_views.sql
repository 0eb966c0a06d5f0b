-- The read models of one generation. Times are microseconds since 1970 UTC, ids are 16 bytes, JSON is text.
-- Nothing here is the truth: every row can be made again from the log.

-- Owned by `projection`: how far the log is folded into the tables below. One row.
create table checkpoint (
    id       integer primary key check (id = 1),
    -- the code's VERSION that made these tables; another version starts a new generation
    version  integer not null,
    -- the last commit whose rows are all here
    position integer not null,
    -- the hash of that commit: it says whose log this is. Zeros before the first commit
    hash     blob    not null,
    -- of the lease under which it moved last; who holds a lower one writes no more
    fence    integer not null
) strict;

-- Owned by `projection`: events that no projector could fold. A person must look at each.
create table parked (
    position integer not null,
    -- which event of the commit; -1 is the commit as a whole
    idx      integer not null,
    stream   text    not null,
    reason   text    not null,
    primary key (position, idx)
) strict, without rowid;

-- Owned by `integrations`: one row an integration; a deleted one has none.
create table integration (
    id                 blob    primary key,
    -- position of its creation: eight bytes by which its records name it
    number             integer not null,
    project            text    not null,
    integration_type   text    not null,
    name               text    not null,
    configuration      text    not null,
    sync_settings      text    not null,
    status             text    not null,
    open_run           blob,
    open_fence         integer,
    -- highest fence granted
    fence              integer not null,
    next_run_at        integer,
    last_sync_at       integer,
    sync_error_message text,
    created_by         text    not null,
    created_at         integer not null,
    updated_at         integer not null,
    revision           integer not null,
    position           integer not null
) strict;
-- lists of a project, newest first
create index integration_by_project on integration (project, number);

-- Owned by `integrations`: which credential an integration uses. It may be stored before the integration
-- is created.
create table credential (
    integration     blob    not null,
    project         text    not null,
    auth_type       text    not null,
    auth_generation integer not null,
    primary key (integration, project)
) strict, without rowid;

-- Owned by `syncs`: one row a run.
create table run (
    integration     blob    not null,
    id              blob    not null,
    project         text    not null,
    sync_type       text    not null,
    triggered_by    text    not null,
    state           text    not null,
    started_at      integer not null,
    ended_at        integer,
    pages           integer not null,
    records         integer not null,
    deleted         integer not null,
    skipped         text    not null,
    failure         text,
    fence           integer not null,
    -- how the journal says that it ended; what comes after is dropped
    ended           text,
    -- the last kept page, whose seal holds the cursor
    cursor_position integer,
    cursor_idx      integer,
    position        integer not null,
    primary key (integration, id)
) strict;
-- logs of an integration, newest first
create index run_by_position on run (integration, position);

-- Owned by `records`: one row a record, replaced by each later record with its key.
create table record (
    -- integration.number
    owner    integer not null,
    -- position * 2^20 + the record's number in its commit: the order of listing, the cursor of readers
    seq      integer not null,
    key      blob    not null,
    model    text    not null,
    start_us integer,
    deleted  integer not null,
    -- the record as it lies in its page
    body     text    not null,
    primary key (owner, seq)
) strict, without rowid;
create unique index record_by_key on record (owner, key);
-- lists and counts of a model
create index record_live on record (owner, model, seq) where deleted = 0;

-- Owned by `webhooks`: one row a webhook; a deleted one has none.
create table webhook (
    id                blob    primary key,
    -- position of its creation: eight bytes by which its attempts name it
    number            integer not null,
    project           text    not null,
    definition        text    not null,
    is_active         integer not null,
    secret_hint       text    not null,
    disabled_reason   text,
    last_triggered_at integer,
    success_count     integer not null,
    failure_count     integer not null,
    created_by        text    not null,
    created_at        integer not null,
    updated_at        integer not null,
    revision          integer not null,
    position          integer not null
) strict;
-- lists of a project, newest first
create index webhook_by_project on webhook (project, number);

-- Owned by `webhooks`: what a webhook was from a position on, until its next version.
create table webhook_version (
    webhook    blob    not null,
    position   integer not null,
    project    text    not null,
    definition text    not null,
    primary key (webhook, position)
) strict, without rowid;
create index webhook_version_by_project on webhook_version (project, webhook, position);

-- Owned by `webhooks`: one row a kept attempt of a delivery.
create table attempt (
    -- webhook.number
    owner            integer not null,
    message          blob    not null,
    attempt          integer not null,
    topic            text    not null,
    -- HTTP status, if there was an answer
    status           integer,
    succeeded        integer not null,
    -- why it failed
    reason           text,
    started_at       integer not null,
    duration_ms      integer not null,
    next_attempt_at  integer,
    -- no further attempt follows
    settled          integer not null,
    message_position integer not null,
    message_idx      integer not null,
    position         integer not null,
    idx              integer not null,
    primary key (owner, message, attempt)
) strict, without rowid;
-- logs of a webhook, newest first
create index attempt_by_position on attempt (owner, position, idx);

-- Owned by `messages`: one row a message; its payload stays sealed in the log.
create table message (
    id           blob    not null,
    project      text    not null,
    topic        text    not null,
    time         integer not null,
    bytes        integer not null,
    only_webhook blob,
    position     integer not null,
    idx          integer not null,
    primary key (id, project)
) strict, without rowid;

-- Owned by `timers`: what is due some day; the event that settles it removes it.
create table timer (
    -- webhook_retry or sync_due
    kind             text    not null,
    -- the webhook, or the integration
    subject          blob    not null,
    -- the message; 16 zero bytes for sync_due
    item             blob    not null,
    due              integer not null,
    project          text    not null,
    -- webhook_retry: where the message lies, and the attempt to make
    message_position integer not null,
    message_idx      integer not null,
    attempt          integer not null,
    -- the event that set it
    position         integer not null,
    idx              integer not null,
    primary key (kind, subject, item)
) strict, without rowid;
create index timer_by_due on timer (kind, due);

-- What the planner is to assume, so that a plan does not depend on how full the tables are: rows, then rows
-- for each prefix of the columns.
analyze;
insert into sqlite_stat1 (tbl, idx, stat) values
    ('record', 'record', '1000000 100000 1'),
    ('record', 'record_by_key', '1000000 100000 1'),
    ('record', 'record_live', '1000000 100000 5000 1'),
    ('attempt', 'attempt', '1000000 10000 2 1'),
    ('attempt', 'attempt_by_position', '1000000 10000 20 1'),
    ('timer', 'timer', '10000 5000 100 1'),
    ('timer', 'timer_by_due', '10000 1'),
    ('run', 'sqlite_autoindex_run_1', '100000 1000 1'),
    ('run', 'run_by_position', '100000 1000 1');
analyze sqlite_schema;
