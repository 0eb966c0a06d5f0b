-- The vault's tables, in a schema of its own: as in migrations/sqlite, column by column. Owned by wharf-vault;
-- nothing else opens it. Times are microseconds since 1970, UTC. Every `sealed`, `wrapped` and `sentinel`
-- is an envelope: algorithm, key id, then AES-256-SIV output. No column holds a secret in clear.

-- One row: which master key this vault belongs to, and the proof of it.
create table if not exists wharf_vault.vault (
    id       bigint primary key check (id = 1),
    -- version of these tables
    schema   bigint not null,
    -- non-secret id of the master key
    key_id   text   not null,
    -- a fixed text sealed under the master key
    sentinel bytea  not null
);

-- One data key a scope, wrapped by the master key. A shredded scope keeps its row as a tombstone, so
-- that its key is never made again.
create table if not exists wharf_vault.data_keys (
    scope       text collate "C" primary key,
    created_at  bigint not null,
    wrapped     bytea,
    shredded_at bigint,
    check ((wrapped is null) = (shredded_at is not null))
);

-- One row a generation of a secret, sealed under its scope's data key.
create table if not exists wharf_vault.secrets (
    scope      text collate "C" not null references wharf_vault.data_keys (scope),
    field      text collate "C" not null,
    generation bigint not null,
    written_at bigint not null,
    sealed     bytea  not null,
    primary key (scope, field, generation)
);

-- First answers to idempotency keys; the body is sealed under the project's data key.
create table if not exists wharf_vault.answers (
    scope       text collate "C" not null references wharf_vault.data_keys (scope),
    key         text collate "C" not null,
    expires_at  bigint not null,
    fingerprint bytea  not null,
    status      bigint not null,
    position    bigint not null,
    sealed      bytea  not null,
    primary key (scope, key)
);

-- For the purge of what is expired.
create index if not exists answers_expires_at on wharf_vault.answers (expires_at);
