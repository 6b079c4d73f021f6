-- Removes a vehicle's readings before a time, about max_rows of them; how many. By time, because in a chunk that was
-- turned into columns no row has an address of its own.
CREATE OR REPLACE FUNCTION fleet.drop_telemetry_of(owner integer, cutoff timestamptz, max_rows integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part_until timestamptz;
    removed bigint;
BEGIN
    SELECT t.time INTO part_until FROM fleet.telemetry AS t WHERE t.vehicle_id = owner AND t.time < cutoff
    ORDER BY t.time OFFSET max_rows LIMIT 1;
    DELETE FROM fleet.telemetry AS t
    WHERE t.vehicle_id = owner AND t.time < cutoff AND t.time <= coalesce(part_until, cutoff);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

-- The same for all that was measured by a vehicle or follows from it: where rows are, and which are before $2.
CREATE OR REPLACE FUNCTION fleet.drop_old_of(owner integer, cutoff timestamptz, max_rows integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here record;
    removed bigint;
    total bigint := fleet.drop_telemetry_of(owner, cutoff, max_rows);
BEGIN
    FOR here IN SELECT * FROM fleet.dated_parts() LOOP
        EXECUTE format('DELETE FROM fleet.%I WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.%I'
            ' WHERE vehicle_id = $1 AND %s LIMIT $3))', here.part, here.part, here.condition)
            USING owner, cutoff, max_rows;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    RETURN total;
END
$$;

-- Tables of vehicles that a vehicle's own retention holds for, besides telemetry; $2 is the cutoff.
CREATE OR REPLACE FUNCTION fleet.dated_parts() RETURNS TABLE (part text, condition text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES
        ('event', 'time < $2'),
        ('command', $c$created_at < $2 AND updated_at < $2 AND state IN ('succeeded', 'failed', 'expired', 'cancelled')$c$),
        ('rollup', $c$bucket < $2 - interval '10 minutes'$c$),
        ('journey', $c$bucket < $2 - interval '10 minutes'$c$),
        ('geofence_bucket', $c$bucket < $2 - interval '10 minutes'$c$),
        -- The beginning of a visit stays as long as the visit, which may not have ended.
        ('geofence_crossing', $c$bucket < $2 - interval '10 minutes' AND (kind <> 'enter' OR EXISTS (
            SELECT FROM fleet.geofence_crossing AS e
            WHERE e.vehicle_id = geofence_crossing.vehicle_id AND e.geofence_id = geofence_crossing.geofence_id
                AND e.kind = 'exit' AND e.at >= geofence_crossing.at AND e.bucket < $2 - interval '10 minutes'))$c$),
        ('alert', 'raised_at < $2')
$$;

-- Removes what was measured, and what was derived from it (or, dead letters: last arrived; commands: ended) before the
-- cutoff, or a vehicle's own one, up to about max_rows of each kind, and returns how much it removed: call it until 0.
-- The presence history and the ledger are kept: they are small, and the proof.
CREATE OR REPLACE FUNCTION fleet.drop_old(cutoff timestamptz, max_rows integer DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earliest timestamptz := least(cutoff, (SELECT now() - max(retention_days) * interval '1 day' FROM fleet.vehicle));
    own integer[] := ARRAY(SELECT id FROM fleet.vehicle WHERE retention_days IS NOT NULL);
    here record;
    removed bigint;
    total bigint;
BEGIN
    total := fleet.drop_old_telemetry(earliest, max_rows);
    IF earliest < cutoff THEN -- somebody's readings are kept for longer: the others' go one vehicle after the other
        FOR here IN SELECT id FROM fleet.vehicle WHERE retention_days IS NULL ORDER BY id LOOP
            EXIT WHEN total >= max_rows;
            total := total + fleet.drop_telemetry_of(here.id, cutoff, max_rows);
        END LOOP;
    END IF;
    FOR here IN SELECT id, now() - retention_days * interval '1 day' AS cutoff FROM fleet.vehicle
        WHERE retention_days IS NOT NULL ORDER BY id LOOP
        EXIT WHEN total >= max_rows;
        total := total + fleet.drop_old_of(here.id, here.cutoff, max_rows);
    END LOOP;
    FOR here IN SELECT * FROM fleet.dated_parts() LOOP
        EXECUTE format('DELETE FROM fleet.%I WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.%I'
            ' WHERE vehicle_id <> ALL ($1) AND %s LIMIT $3))', here.part, here.part, here.condition)
            USING own, cutoff, max_rows;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    DELETE FROM fleet.geofence_crossing -- of geofences that were removed
    WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM fleet.geofence_crossing AS c
        JOIN fleet.geofence AS g ON g.id = c.geofence_id WHERE g.removed_at IS NOT NULL LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.hazard
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.hazard WHERE valid_until < cutoff AND first_at < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.dead_letter
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.dead_letter WHERE last_at < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$$;
