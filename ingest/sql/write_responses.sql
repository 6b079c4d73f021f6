-- The rows are locked. $2: how long the outcome of an accepted command is waited for after not_after, in seconds.
UPDATE fleet.command AS c SET state = g.state, outcome = g.outcome, code = g.code, result = g.result, error = g.error,
    next_at = CASE WHEN g.ended THEN NULL ELSE c.next_at END,
    give_up_at = CASE WHEN g.state = 'delivered' THEN c.not_after + $2::double precision * interval '1 s'
        ELSE c.give_up_at END,
    updated_at = clock_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS g (id uuid, state text, outcome text, code text, result jsonb, error text,
    ended boolean)
WHERE c.id = g.id
