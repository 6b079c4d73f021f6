INSERT INTO fleet.command_step (command_id, event, state, detail)
SELECT g.id, g.event, g.state, g.detail
FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (id uuid, event text, state text, detail jsonb)) WITH ORDINALITY
    AS g (id, event, state, detail, position)
ORDER BY g.position
