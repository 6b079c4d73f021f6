-- The rows are locked. The cursor is written by fleet.append_presence_events.
UPDATE fleet.registration AS r SET
    state = g.state, reason = g.reason, since = g.since, evidence = g.evidence, deadline = g.deadline, epoch = g.epoch,
    n = g.n, region = g.region, cell = g.cell, address = g.address, seen_address = g.seen_address,
    update_interval_s = g.update_interval_s, keep_alive_s = g.keep_alive_s, sleep_s = g.sleep_s, lost = g.lost,
    ended = g.ended, flaps = g.flaps, flaps_since = g.flaps_since, flapped_at = g.flapped_at, updated_at = clock_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS g (vehicle_id integer, state text, reason text, since timestamptz, evidence jsonb,
    deadline timestamptz, epoch bigint, n bigint, region text, cell text, address text, seen_address text,
    update_interval_s double precision, keep_alive_s double precision, sleep_s double precision, lost boolean,
    ended boolean, flaps integer, flaps_since timestamptz, flapped_at timestamptz)
WHERE r.vehicle_id = g.vehicle_id
