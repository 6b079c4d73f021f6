-- Ends up to $1 commands whose time has passed at $2, of whatever region. Gives the states they had. A vehicle that was
-- handed over to a region with another database is there in another register, which knows nothing of these.
WITH due AS (
    SELECT c.id, c.state, c.sent,
        CASE WHEN (r.state, r.reason) = ('unknown', 'handover') THEN r.evidence ->> 'to' END AS left_for
    FROM fleet.command AS c LEFT JOIN fleet.registration AS r ON r.vehicle_id = c.vehicle_id
    WHERE c.state IN ('queued', 'paged', 'sent', 'delivered') AND c.give_up_at <= $2
    ORDER BY c.give_up_at LIMIT $1 FOR UPDATE OF c SKIP LOCKED
), ended AS (
    UPDATE fleet.command AS c SET state = 'expired', next_at = NULL, updated_at = clock_timestamp(),
        error = CASE due.state
            WHEN 'sent' THEN 'not answered in time: whether the vehicle has done it is not known'
            WHEN 'delivered' THEN 'accepted by the vehicle, which did not say in time what became of it'
            ELSE 'the vehicle could not be reached in time' END
            || coalesce('; it was handed over to region ' || due.left_for, '')
    FROM due WHERE c.id = due.id
), noted AS (
    INSERT INTO fleet.command_step (command_id, event, state, detail)
    SELECT id, 'deadline', 'expired',
        jsonb_strip_nulls(jsonb_build_object('was', state, 'sent', sent, 'handed_over_to', left_for)) FROM due
)
SELECT state FROM due
