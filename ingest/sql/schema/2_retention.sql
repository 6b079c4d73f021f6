-- Removes what was measured, and what was derived from it (or, dead letters: last arrived; commands: ended) before the
-- cutoff, up to max_rows of each kind, and returns how much it removed: call it until 0. The presence history and the
-- ledger are kept: they are small, and the proof.
CREATE OR REPLACE FUNCTION fleet.drop_old(cutoff timestamptz, max_rows integer DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
    total bigint;
BEGIN
    total := fleet.drop_old_telemetry(cutoff, max_rows);
    DELETE FROM fleet.event WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.event WHERE time < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.hazard
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.hazard WHERE valid_until < cutoff AND first_at < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.dead_letter
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.dead_letter WHERE last_at < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.command
    WHERE id = ANY (ARRAY(SELECT id FROM fleet.command
        WHERE created_at < cutoff AND updated_at < cutoff AND state IN ('succeeded', 'failed', 'expired', 'cancelled')
        LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.rollup
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.rollup WHERE bucket < cutoff - interval '10 minutes' LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM fleet.journey
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.journey WHERE bucket < cutoff - interval '10 minutes' LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$$;
