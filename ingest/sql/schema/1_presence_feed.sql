-- Functions of the writers. Owner only: they run with the rights of their caller.

-- Appends presence events, as the LAST statement of a transaction.
--
-- events: a JSON array, in order, of objects {vehicle_id, at, state, reason, evidence, deadline, epoch, n, region, cell,
-- address, seen_address, previous_state, previous_region}; times RFC 3339. Returns the cursors in the same order, and
-- writes the newest into each vehicle's registration.
--
-- The advisory lock is held until after COMMIT is visible, so cursors become visible in order: who reads from his
-- cursor misses none. learned_at is read under the lock, so it never runs against the cursor.
CREATE OR REPLACE FUNCTION fleet.append_presence_events(events jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_array_length(events) = 0 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('fleetcell'), hashtext('presence_event'));
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT nextval('fleet.presence_cursor') AS cursor, item.value AS event
        FROM (SELECT value FROM jsonb_array_elements(events) WITH ORDINALITY ORDER BY ordinality) AS item
    ), appended AS (
        INSERT INTO fleet.presence_event (cursor, vehicle_id, at, learned_at, state, reason, evidence, deadline, epoch,
            n, region, cell, address, seen_address, previous_state, previous_region)
        SELECT given.cursor, e.vehicle_id, e.at, clock_timestamp(), e.state, e.reason, coalesce(e.evidence, '{}'),
            e.deadline, e.epoch, e.n, e.region, e.cell, e.address, e.seen_address, e.previous_state, e.previous_region
        FROM given, jsonb_to_record(given.event) AS e (vehicle_id integer, at timestamptz, state text, reason text,
            evidence jsonb, deadline timestamptz, epoch bigint, n bigint, region text, cell text, address text,
            seen_address text, previous_state text, previous_region text)
        ORDER BY given.cursor
        RETURNING presence_event.cursor, presence_event.vehicle_id
    ), pointed AS (
        UPDATE fleet.registration AS r SET cursor = newest.cursor
        FROM (SELECT a.vehicle_id, max(a.cursor) AS cursor FROM appended AS a GROUP BY a.vehicle_id) AS newest
        WHERE r.vehicle_id = newest.vehicle_id
    )
    SELECT appended.cursor FROM appended ORDER BY appended.cursor;
    PERFORM pg_notify('fleetcell_presence', currval('fleet.presence_cursor')::text);
END
$$;

-- The generation of the live feed: cursors of another generation mean nothing. It changes when the database is another
-- one (a restored dump has another oid or cluster) and when history forked (promotion, point-in-time recovery: a new
-- timeline), because events that a client has seen may be missing then.
CREATE OR REPLACE FUNCTION fleet.feed_generation() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT md5(concat_ws('/', feed.generation, system.system_identifier, database.oid, checkpoint.timeline_id))::uuid
    FROM fleet.feed, pg_control_system() AS system, pg_control_checkpoint() AS checkpoint, pg_database AS database
    WHERE database.datname = current_database()
$$;

-- How many numbers a multirange of sequence numbers has.
CREATE OR REPLACE FUNCTION fleet.numbers(ranges int8multirange) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(ranges) AS r
$$;
