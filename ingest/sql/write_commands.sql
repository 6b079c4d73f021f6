-- The rows are locked.
UPDATE fleet.command AS c SET state = g.state, epoch = g.epoch, sent = g.sent, pages = g.pages, next_at = g.next_at,
    updated_at = CASE WHEN g.event IS NULL THEN c.updated_at ELSE clock_timestamp() END
FROM jsonb_to_recordset($1::jsonb) AS g (id uuid, state text, epoch bigint, sent integer, pages integer,
    next_at timestamptz, event text)
WHERE c.id = g.id
