-- Ends up to $1 commands whose time has passed, of whatever region: the time is the database's. Gives the states they had.
WITH due AS (
    SELECT id, state, sent FROM fleet.command
    WHERE state IN ('queued', 'paged', 'sent', 'delivered') AND give_up_at <= statement_timestamp()
    ORDER BY give_up_at LIMIT $1 FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE fleet.command AS c SET state = 'expired', next_at = NULL, updated_at = clock_timestamp(),
        error = CASE due.state
            WHEN 'sent' THEN 'not answered in time: whether the vehicle has done it is not known'
            WHEN 'delivered' THEN 'accepted by the vehicle, which did not say in time what became of it'
            ELSE 'the vehicle could not be reached in time' END
    FROM due WHERE c.id = due.id
), noted AS (
    INSERT INTO fleet.command_step (command_id, event, state, detail)
    SELECT id, 'deadline', 'expired', jsonb_build_object('was', state, 'sent', sent) FROM due
)
SELECT state FROM due
