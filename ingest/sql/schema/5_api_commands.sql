-- What the dashboard may do with commands. Each runs with the rights of the owner, and names everything in full.

-- Queues a command. Either not_after or ttl_s is given; the deadline is made and checked by the database's clock.
-- One row: the id, whether it was made now (false: this caller has used this idempotency_key for it before), and
-- the problem where there is no id:
--   unknown    there is no such vehicle      revoked   its credential was taken away
--   deadline   not_after is past or more than 31 days off; ttl_s is not above 0 and up to that
--   reused     the idempotency_key was used for another command
--   many       100 commands of this vehicle are under way
-- The caller has checked name, args and require (fleetcell.contract.commands).
CREATE FUNCTION api.command_add(vehicle text, name text, args jsonb, require jsonb, not_after timestamptz,
    ttl_s double precision, created_by text, idempotency_key text DEFAULT NULL)
RETURNS TABLE (id uuid, created boolean, problem text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz := clock_timestamp();
    deadline timestamptz;
    owner record;
    made uuid;
BEGIN
    -- The lock makes the count of those under way true, and orders two requests with one key.
    SELECT v.id, v.revoked_at INTO owner FROM fleet.vehicle AS v
    WHERE v.name = command_add.vehicle AND v.erased_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::uuid, false, 'unknown';
        RETURN;
    END IF;
    IF command_add.idempotency_key IS NOT NULL THEN
        RETURN QUERY
        SELECT CASE WHEN same.it THEN c.id END, false, CASE WHEN NOT same.it THEN 'reused' END
        FROM fleet.command AS c
        CROSS JOIN LATERAL (
            SELECT (c.vehicle_id, c.name, c.args, c.require)
                = (owner.id, command_add.name, command_add.args, command_add.require) AS it
        ) AS same
        WHERE c.created_by = command_add.created_by AND c.idempotency_key = command_add.idempotency_key;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF owner.revoked_at IS NOT NULL THEN
        RETURN QUERY SELECT NULL::uuid, false, 'revoked';
        RETURN;
    END IF;
    deadline := coalesce(command_add.not_after,
        CASE WHEN command_add.ttl_s > 0 AND command_add.ttl_s <= 31 * 86400
            THEN now_ + command_add.ttl_s * interval '1 s' END);
    IF deadline IS NULL OR deadline <= now_ OR deadline > now_ + interval '31 days' THEN
        RETURN QUERY SELECT NULL::uuid, false, 'deadline';
        RETURN;
    END IF;
    IF (SELECT count(*) FROM fleet.command AS c
        WHERE c.vehicle_id = owner.id AND c.state IN ('queued', 'paged', 'sent', 'delivered')) >= 100 THEN
        RETURN QUERY SELECT NULL::uuid, false, 'many';
        RETURN;
    END IF;
    INSERT INTO fleet.command AS c (vehicle_id, name, args, require, not_after, give_up_at, created_by,
        idempotency_key, created_at, updated_at, next_at)
    VALUES (owner.id, command_add.name, command_add.args, command_add.require, deadline, deadline,
        command_add.created_by, command_add.idempotency_key, now_, now_, now_)
    ON CONFLICT ON CONSTRAINT command_idempotency_key DO NOTHING -- for another vehicle, at the same moment
    RETURNING c.id INTO made;
    IF made IS NULL THEN
        RETURN QUERY SELECT NULL::uuid, false, 'reused';
        RETURN;
    END IF;
    INSERT INTO fleet.command_step (command_id, at, event, state, detail)
    VALUES (made, now_, 'queued', 'queued', jsonb_build_object('by', command_add.created_by));
    PERFORM pg_notify('fleetcell_commands', '');
    RETURN QUERY SELECT made, true, NULL;
END
$$;

-- Calls a command off, as long as it was not sent; what was sent may have been done. One row: the state it has now, and
-- whether it was called off now. No row: there is no such command.
CREATE FUNCTION api.command_cancel(id uuid, cancelled_by text) RETURNS TABLE (state text, cancelled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    held text;
BEGIN
    SELECT c.state INTO held FROM fleet.command AS c WHERE c.id = command_cancel.id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF held NOT IN ('queued', 'paged') THEN
        RETURN QUERY SELECT held, false;
        RETURN;
    END IF;
    UPDATE fleet.command AS c SET state = 'cancelled', next_at = NULL, updated_at = clock_timestamp()
    WHERE c.id = command_cancel.id;
    INSERT INTO fleet.command_step (command_id, event, state, detail)
    VALUES (command_cancel.id, 'cancel', 'cancelled', jsonb_build_object('by', command_cancel.cancelled_by));
    RETURN QUERY SELECT 'cancelled', true;
END
$$;
