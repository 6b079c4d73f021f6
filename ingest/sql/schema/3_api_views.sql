-- What the dashboard reads. The schema is made anew whenever one of these files changes.

CREATE SCHEMA api;

CREATE VIEW api.vehicles AS
SELECT
    v.id AS vehicle_id, v.name AS vehicle, v.created_at, v.revoked_at,
    r.state, r.reason, r.since, r.evidence, r.deadline, r.epoch, r.n, r.region, r.cell, r.address, r.seen_address,
    r.update_interval_s, r.keep_alive_s, r.sleep_s, r.cursor, r.updated_at,
    l.time AS latest_time, l.position_time, l.lat, l.lon, l.heading, l.speed, l.signals::jsonb AS signals, l.keys_hash
FROM fleet.vehicle AS v
LEFT JOIN fleet.registration AS r ON r.vehicle_id = v.id
LEFT JOIN fleet.vehicle_latest AS l ON l.vehicle_id = v.id
WHERE v.erased_at IS NULL;

CREATE VIEW api.telemetry AS
SELECT
    t.time, t.vehicle_id, v.name AS vehicle, t.boot, t.seq, t.lat, t.lon, t.alt, t.acc, t.speed, t.heading, t.odo, t.soc,
    t.fuel, t.range, t.rpm, t.coolant, t.lvbat, t.ignition, t.gear, t.brake, t.rsrp, t.rat, t.cell, t.extra,
    t.received_at, t.quality
FROM fleet.telemetry AS t
JOIN fleet.vehicle AS v ON v.id = t.vehicle_id;

CREATE VIEW api.presence_events AS
SELECT
    p.cursor, p.vehicle_id, v.name AS vehicle, p.at, p.learned_at, p.state, p.reason, p.evidence, p.deadline, p.epoch,
    p.n, p.region, p.cell, p.address, p.seen_address, p.previous_state, p.previous_region
FROM fleet.presence_event AS p
JOIN fleet.vehicle AS v ON v.id = p.vehicle_id;

-- The delivery ledger. pending: known to exist, and in none of the other four.
CREATE VIEW api.delivery AS
SELECT
    k.vehicle_id, v.name AS vehicle, k.boot, k.received, k.evicted, k.quarantined, k.dead AS dead_lettered, p.pending,
    k.claimed, k.duplicates, k.late, k.max_late, k.first_at, k.last_at,
    k.corrected, k.lateness, k.origin, k.conflicts, k.conflict_at, k.measured_from, k.measured_until,
    fleet.numbers(k.received) AS received_count, fleet.numbers(k.evicted) AS evicted_count,
    fleet.numbers(k.quarantined) AS quarantined_count, fleet.numbers(k.dead) AS dead_lettered_count,
    fleet.numbers(p.pending) AS pending_count
FROM fleet.ledger AS k
JOIN fleet.vehicle AS v ON v.id = k.vehicle_id
CROSS JOIN LATERAL (
    SELECT k.received + k.evicted + k.quarantined + k.dead AS settled
) AS s
CROSS JOIN LATERAL (
    SELECT int8multirange(int8range(1, greatest(k.claimed + 1, upper(s.settled), 1))) - s.settled AS pending
) AS p;

-- Two boots of a vehicle that measured at the same time for over a minute, and sent at the same time for as long. A unit
-- ends one boot before the next, and what it sends later of the old one was measured before.
CREATE VIEW api.shared_identities AS
SELECT a.vehicle_id, v.name AS vehicle, a.boot, b.boot AS other_boot, least(a.last_at, b.last_at) AS seen_at
FROM fleet.ledger AS a
JOIN fleet.ledger AS b ON b.vehicle_id = a.vehicle_id AND b.boot > a.boot
JOIN fleet.vehicle AS v ON v.id = a.vehicle_id
WHERE least(a.measured_until, b.measured_until) - greatest(a.measured_from, b.measured_from) > interval '1 minute'
    AND least(a.last_at, b.last_at) - greatest(a.first_at, b.first_at) > interval '1 minute';

CREATE VIEW api.gateways AS
SELECT region, heartbeat_at, extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision AS heartbeat_age_s,
    storing, lag_s, address_pool, started_at
FROM fleet.gateway;

-- A heartbeat older than this: the gateway is silent, and what its register says is not known to be so any more.
CREATE FUNCTION api.silent_after() RETURNS interval
LANGUAGE sql IMMUTABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp RETURN interval '10 seconds';

-- When nobody spoke for a region: from its last heartbeat to the next. until is null where it is silent now.
CREATE VIEW api.silences AS
SELECT region, since, until FROM fleet.gateway_silence
UNION ALL
SELECT region, heartbeat_at, NULL FROM fleet.gateway WHERE heartbeat_at < clock_timestamp() - api.silent_after();

-- One row: the feed's generation, and the newest cursor (0: no change yet).
CREATE VIEW api.feed AS
SELECT fleet.feed_generation() AS generation, coalesce((SELECT max(cursor) FROM fleet.presence_event), 0) AS cursor;

CREATE VIEW api.dead_letters AS
SELECT id, topic, sha256, payload, size, reason, boot, first_at, last_at, count FROM fleet.dead_letter;

-- outcome: what the unit said; error, code, result: of that answer. sent, pages: how often. epoch: the session last sent to.
CREATE VIEW api.commands AS
SELECT c.id, c.vehicle_id, v.name AS vehicle, c.name, c.args, c.require, c.state, c.outcome, c.code, c.result, c.error,
    c.not_after, c.created_by, c.created_at, c.updated_at, c.epoch, c.sent, c.pages
FROM fleet.command AS c
JOIN fleet.vehicle AS v ON v.id = c.vehicle_id;

CREATE VIEW api.command_steps AS
SELECT id, command_id, at, event, state, detail FROM fleet.command_step;

CREATE VIEW api.api_keys AS
SELECT id, name, role, hash, created_at, revoked_at FROM fleet.api_key;

-- Without the password hashes: api.user_get gives one.
CREATE VIEW api.users AS
SELECT name, role, password_hash IS NOT NULL AS has_password, created_at, updated_at FROM fleet.app_user;
