-- What the nodes that share this data base have to agree upon. The views themselves are in schemas of their
-- own, one a generation. Times are the data base's: it is the one clock that all nodes share.

-- Owned by `generation`: one row a generation, and its schema is wharf_views_v<version>_g<number>.
create table wharf_views.generation (
    number  bigint generated always as identity primary key,
    -- the code's VERSION that made it
    version bigint not null,
    state   text not null check (state in ('building', 'live', 'retired')),
    -- when it got into that state
    since   timestamptz not null default clock_timestamp()
);
-- each version of the code has one live generation
create unique index generation_live on wharf_views.generation (version) where state = 'live';

-- Owned by `leases`: who is the only one of all nodes to do something. The row stays when the lease is given
-- back, so that its fence only grows.
create table wharf_views.lease (
    name       text primary key,
    -- which node; it gets back at once what it held before it was killed
    holder     text not null,
    -- one higher with each new holder
    fence      bigint not null,
    expires_at timestamptz not null
);

-- Called by a trigger of every generation's checkpoint.
create function wharf_views.moved() returns trigger language plpgsql as $$
begin
    perform pg_notify('wharf_views',
        substring(tg_table_schema from '[0-9]+$') || ' ' || new.position);
    return null;
end
$$;
