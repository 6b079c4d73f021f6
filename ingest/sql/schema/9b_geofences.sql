-- Geofences, visits and alerts, as the dashboard reads and changes them.

-- pending: its history is still to be derived, and it raises no alerts yet.
CREATE VIEW api.geofences AS
SELECT g.id, g.name, g.geometry::jsonb AS geometry, g.radius_m, g.margin_m,
    CASE WHEN g.restricted THEN ARRAY(
        SELECT v.name FROM fleet.geofence_vehicle AS m JOIN fleet.vehicle AS v ON v.id = m.vehicle_id
        WHERE m.geofence_id = g.id ORDER BY v.name)
    END AS vehicles,
    g.alert_enter, g.alert_exit, g.dwell_s, g.version, g.backfill_after IS NOT NULL AS pending, g.created_at, g.created_by,
    g.updated_at, g.updated_by
FROM fleet.geofence AS g
WHERE g.removed_at IS NULL;

-- entered_at: the first position inside; outside_at: the one before. left_at: the first position outside, or the last one
-- before a long silence that it ended in (left_unseen); last_at: the last position of the visit. gap: a long silence is in
-- it, or goes on.
CREATE VIEW api.visits AS
SELECT e.vehicle_id, v.name AS vehicle, e.geofence_id, g.name AS geofence, e.at AS entered_at, e.before_at AS outside_at,
    x.at AS left_at, coalesce(x.silence AND x.at = x.before_at, false) AS left_unseen, x.at IS NULL AS open,
    coalesce(x.before_at, l.position_at) AS last_at,
    EXISTS (
        SELECT FROM fleet.geofence_crossing AS s
        WHERE s.vehicle_id = e.vehicle_id AND s.geofence_id = e.geofence_id AND s.kind = 'gap' AND s.at > e.at
            AND s.at <= coalesce(x.at, 'infinity')
    ) OR (x.at IS NULL AND coalesce(
        l.position_at < clock_timestamp() - (d.rules ->> 'gap_s')::double precision * interval '1 second', false)) AS gap
FROM fleet.geofence_crossing AS e
JOIN fleet.vehicle AS v ON v.id = e.vehicle_id
JOIN fleet.geofence AS g ON g.id = e.geofence_id AND g.removed_at IS NULL
LEFT JOIN LATERAL (
    SELECT c.at, c.before_at, c.silence FROM fleet.geofence_crossing AS c
    WHERE c.vehicle_id = e.vehicle_id AND c.geofence_id = e.geofence_id AND c.kind = 'exit' AND c.at >= e.at
    ORDER BY c.at LIMIT 1
) AS x ON true
LEFT JOIN LATERAL (
    SELECT b.position_at FROM fleet.geofence_bucket AS b
    WHERE x.at IS NULL AND b.vehicle_id = e.vehicle_id ORDER BY b.bucket DESC LIMIT 1
) AS l ON true
LEFT JOIN fleet.derived_by AS d ON true
WHERE e.kind = 'enter';

-- state: corrected where later readings say that it was not so; else acknowledged, or open.
CREATE VIEW api.alerts AS
SELECT a.id, a.vehicle_id, v.name AS vehicle, a.geofence_id, a.geofence, a.version, a.kind, a.at, a.lat, a.lon, a.raised_at,
    CASE WHEN a.correction = 'withdrawn' THEN 'corrected' WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'open' END
        AS state,
    a.holds_at, a.correction, a.corrected_at, a.acknowledged_at, a.acknowledged_by
FROM fleet.alert AS a
JOIN fleet.vehicle AS v ON v.id = a.vehicle_id;

-- Makes a geofence (no id), or changes one. The caller has checked geometry, radius and margin (fleetcell.contract.geofences).
-- vehicles: names of those that it holds for; null: all. One row: the id, and where there is none the problem:
--   unknown   there is no such geofence       many       there are 1,000
--   name      another one has this name       vehicles   there is no such vehicle; named in missing
CREATE FUNCTION api.geofence_put(id integer, name text, geometry jsonb, radius_m double precision, margin_m double precision,
    vehicles text[], alert_enter boolean, alert_exit boolean, dwell_s integer, put_by text)
RETURNS TABLE (geofence integer, problem text, missing text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz := clock_timestamp();
    held fleet.geofence;
    members integer[];
    others text[];
    same boolean;
BEGIN
    -- One after the other: names and their number are checked, and nobody waits for long.
    PERFORM pg_advisory_xact_lock(hashtext('fleetcell'), hashtext('geofences'));
    IF geofence_put.id IS NOT NULL THEN
        SELECT * INTO held FROM fleet.geofence AS g WHERE g.id = geofence_put.id AND g.removed_at IS NULL FOR UPDATE;
        IF NOT FOUND THEN
            RETURN QUERY SELECT NULL::integer, 'unknown', NULL::text[];
            RETURN;
        END IF;
    ELSIF (SELECT count(*) FROM fleet.geofence AS g WHERE g.removed_at IS NULL) >= 1000 THEN
        RETURN QUERY SELECT NULL::integer, 'many', NULL::text[];
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM fleet.geofence AS g
        WHERE g.name = geofence_put.name AND g.removed_at IS NULL AND g.id IS DISTINCT FROM geofence_put.id) THEN
        RETURN QUERY SELECT NULL::integer, 'name', NULL::text[];
        RETURN;
    END IF;
    IF geofence_put.vehicles IS NOT NULL THEN
        SELECT array_agg(v.id ORDER BY v.id), array_agg(DISTINCT given ORDER BY given) FILTER (WHERE v.id IS NULL)
        INTO members, others
        FROM unnest(geofence_put.vehicles) AS given
        LEFT JOIN fleet.vehicle AS v ON v.name = given AND v.erased_at IS NULL;
        IF others IS NOT NULL THEN
            RETURN QUERY SELECT NULL::integer, 'vehicles', others;
            RETURN;
        END IF;
    END IF;
    IF geofence_put.id IS NULL THEN
        INSERT INTO fleet.geofence AS g (name, geometry, radius_m, margin_m, restricted, alert_enter, alert_exit, dwell_s,
            created_by, updated_by)
        VALUES (geofence_put.name, geofence_put.geometry, geofence_put.radius_m, geofence_put.margin_m,
            geofence_put.vehicles IS NOT NULL, geofence_put.alert_enter, geofence_put.alert_exit, geofence_put.dwell_s,
            geofence_put.put_by, geofence_put.put_by)
        RETURNING * INTO held;
    ELSE
        same := (held.geometry::jsonb, held.radius_m, held.margin_m, held.dwell_s, held.restricted)
                IS NOT DISTINCT FROM (geofence_put.geometry, geofence_put.radius_m, geofence_put.margin_m,
                    geofence_put.dwell_s, geofence_put.vehicles IS NOT NULL)
            AND ARRAY(SELECT m.vehicle_id FROM fleet.geofence_vehicle AS m WHERE m.geofence_id = held.id ORDER BY 1)
                = coalesce(ARRAY(SELECT DISTINCT unnest(members) ORDER BY 1), '{}');
        UPDATE fleet.geofence AS g SET name = geofence_put.name, geometry = geofence_put.geometry,
            radius_m = geofence_put.radius_m, margin_m = geofence_put.margin_m, restricted = geofence_put.vehicles IS NOT NULL,
            alert_enter = geofence_put.alert_enter, alert_exit = geofence_put.alert_exit, dwell_s = geofence_put.dwell_s,
            updated_at = now_, updated_by = geofence_put.put_by,
            version = CASE WHEN same THEN g.version ELSE g.version + 1 END,
            backfill_after = CASE WHEN same THEN g.backfill_after ELSE 0 END,
            marked_at = CASE WHEN same THEN g.marked_at END,
            -- What an alert is raised of holds from now on: nothing is alerted afterwards.
            alerts_from = CASE
                WHEN NOT same THEN NULL
                WHEN (g.alert_enter, g.alert_exit) = (geofence_put.alert_enter, geofence_put.alert_exit) THEN g.alerts_from
                WHEN g.alerts_from IS NOT NULL THEN now_
            END
        WHERE g.id = held.id;
        DELETE FROM fleet.geofence_vehicle AS m
        WHERE m.geofence_id = held.id AND m.vehicle_id <> ALL (coalesce(members, '{}'));
    END IF;
    INSERT INTO fleet.geofence_vehicle (geofence_id, vehicle_id)
    SELECT DISTINCT held.id, member FROM unnest(members) AS member ORDER BY member ON CONFLICT DO NOTHING;
    PERFORM pg_notify('fleetcell_derive', '');
    RETURN QUERY SELECT held.id, NULL::text, NULL::text[];
END
$$;

-- Removes a geofence and its visits; its alerts stay. false: there is no such one.
CREATE FUNCTION api.geofence_remove(id integer, removed_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.geofence AS g SET removed_at = clock_timestamp(), removed_by = geofence_remove.removed_by
    WHERE g.id = geofence_remove.id AND g.removed_at IS NULL;
    RETURN FOUND;
END
$$;

-- Notes who has seen to an alert; the first one stays. One row: its state, and whether it was noted now. No row: there is no
-- such alert.
CREATE FUNCTION api.alert_acknowledge(id bigint, acknowledged_by text) RETURNS TABLE (state text, acknowledged boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now_noted boolean;
BEGIN
    UPDATE fleet.alert AS a SET acknowledged_at = clock_timestamp(), acknowledged_by = alert_acknowledge.acknowledged_by
    WHERE a.id = alert_acknowledge.id AND a.acknowledged_at IS NULL;
    now_noted := FOUND;
    RETURN QUERY SELECT a.state, now_noted FROM api.alerts AS a WHERE a.id = alert_acknowledge.id;
END
$$;
