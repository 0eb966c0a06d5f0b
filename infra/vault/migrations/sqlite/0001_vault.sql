-- The vault's tables. Owned by wharf-vault; nothing else opens this file.
-- Times are microseconds since 1970, UTC. Every `sealed`, `wrapped` and `sentinel` is an envelope:
-- algorithm, key id, then AES-256-SIV output. No column holds a secret in clear.

-- One row: which master key this vault belongs to, and the proof of it.
create table if not exists vault (
    id       integer primary key check (id = 1),
    -- version of these tables
    schema   integer not null,
    -- non-secret id of the master key
    key_id   text    not null,
    -- a fixed text sealed under the master key
    sentinel blob    not null
) strict;

-- One data key a scope, wrapped by the master key. A shredded scope keeps its row as a tombstone, so
-- that its key is never made again.
create table if not exists data_keys (
    scope       text    primary key,
    created_at  integer not null,
    wrapped     blob,
    shredded_at integer,
    check ((wrapped is null) = (shredded_at is not null))
) strict;

-- One row a generation of a secret, sealed under its scope's data key.
create table if not exists secrets (
    scope      text    not null references data_keys (scope),
    field      text    not null,
    generation integer not null,
    written_at integer not null,
    sealed     blob    not null,
    primary key (scope, field, generation)
) strict;

-- First answers to idempotency keys; the body is sealed under the project's data key.
create table if not exists answers (
    scope       text    not null references data_keys (scope),
    key         text    not null,
    expires_at  integer not null,
    fingerprint blob    not null,
    status      integer not null,
    position    integer not null,
    sealed      blob    not null,
    primary key (scope, key)
) strict;

-- For the purge of what is expired.
create index if not exists answers_expires_at on answers (expires_at);
