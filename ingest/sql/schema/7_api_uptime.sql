-- How long vehicles were in each state between two times, in vehicle seconds, by the region that served them.
--
-- view: `at`, by when it became so, as is known now; `learned_at`, by what was believed at each time.
-- vehicle_id: of this vehicle; null: of all. What was before a vehicle's first change counts nowhere, nor does the
-- time after its credential was ended.
--
-- While a gateway is silent its vehicles are unknown (api.silences), because nobody can write so.
-- `learned_at`: all of them, from when its heartbeat was too old until the next one: that was believed.
-- `at`: those that would have to speak, from the last heartbeat on, as long as it is silent. What was so in a silence
-- that is over stands in the presence events: the register dates the blindness back, or has what it heard all the while.
--
-- A state holds from its time until the first time of a later change. Both views have an index by vehicle and time: of
-- what was before `since` only the last change of each vehicle is read. `view` is a constant of the whole statement,
-- so only one half of each pair runs. OFFSET 0 keeps the planner from reading all events for the sake of one vehicle.
CREATE FUNCTION api.uptime(since timestamptz, until timestamptz, view text DEFAULT 'at', vehicle_id integer DEFAULT NULL)
RETURNS TABLE (region text, state text, seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS MATERIALIZED (
        SELECT v.id FROM fleet.vehicle AS v WHERE v.erased_at IS NULL AND uptime.vehicle_id IS NULL
        UNION ALL
        SELECT v.id FROM fleet.vehicle AS v WHERE v.erased_at IS NULL AND v.id = uptime.vehicle_id
    ), known AS NOT MATERIALIZED (
        SELECT b.* FROM wanted AS w CROSS JOIN LATERAL (
            SELECT p.vehicle_id, p.cursor, p.at AS moment, p.state, p.reason, p.region FROM fleet.presence_event AS p
            WHERE p.vehicle_id = w.id AND p.at <= uptime.since
            ORDER BY p.at DESC, p.cursor DESC LIMIT 1
        ) AS b WHERE uptime.view = 'at'
        UNION ALL
        SELECT b.* FROM wanted AS w CROSS JOIN LATERAL (
            SELECT p.vehicle_id, p.cursor, p.at, p.state, p.reason, p.region FROM fleet.presence_event AS p
            WHERE p.vehicle_id = w.id AND p.at > uptime.since AND p.at < uptime.until OFFSET 0
        ) AS b WHERE uptime.view = 'at'
        UNION ALL
        SELECT b.* FROM wanted AS w CROSS JOIN LATERAL (
            SELECT p.vehicle_id, p.cursor, p.learned_at, p.state, p.reason, p.region FROM fleet.presence_event AS p
            WHERE p.vehicle_id = w.id AND p.learned_at <= uptime.since
            ORDER BY p.learned_at DESC, p.cursor DESC LIMIT 1
        ) AS b WHERE uptime.view = 'learned_at'
        UNION ALL
        SELECT b.* FROM wanted AS w CROSS JOIN LATERAL (
            SELECT p.vehicle_id, p.cursor, p.learned_at, p.state, p.reason, p.region FROM fleet.presence_event AS p
            WHERE p.vehicle_id = w.id AND p.learned_at > uptime.since AND p.learned_at < uptime.until OFFSET 0
        ) AS b WHERE uptime.view = 'learned_at'
    ), spans AS NOT MATERIALIZED (
        SELECT k.region, k.state, k.reason, greatest(k.moment, uptime.since) AS began,
            least(uptime.until, min(k.moment) OVER (
                PARTITION BY k.vehicle_id ORDER BY k.cursor ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
            )) AS ended
        FROM known AS k
    ), silent AS MATERIALIZED (
        SELECT q.region, q.since AS began, uptime.until AS ended, ARRAY['online', 'suspect'] AS hides
        FROM api.silences AS q WHERE uptime.view = 'at' AND q.until IS NULL
        UNION ALL
        SELECT q.region, q.since + api.silent_after(), coalesce(q.until, uptime.until),
            ARRAY['online', 'suspect', 'asleep', 'offline']
        FROM api.silences AS q
        WHERE uptime.view = 'learned_at' AND q.since < uptime.until AND coalesce(q.until, uptime.until) > uptime.since
    ), hidden AS (
        SELECT s.region, s.state, sum(extract(epoch FROM least(s.ended, q.ended) - greatest(s.began, q.began))) AS seconds
        FROM silent AS q JOIN spans AS s ON s.region = q.region AND s.state = ANY (q.hides)
            AND q.began < s.ended AND q.ended > s.began
        WHERE s.ended > s.began AND s.reason <> 'revoked'
        GROUP BY s.region, s.state
    ), counted AS (
        SELECT s.region, s.state, sum(extract(epoch FROM s.ended - s.began)) AS seconds
        FROM spans AS s WHERE s.ended > s.began AND s.reason <> 'revoked' GROUP BY s.region, s.state
        UNION ALL
        SELECT h.region, h.state, -h.seconds FROM hidden AS h
        UNION ALL
        SELECT h.region, 'unknown', h.seconds FROM hidden AS h
    )
    SELECT c.region, c.state, sum(c.seconds)::double precision FROM counted AS c
    GROUP BY c.region, c.state HAVING sum(c.seconds) > 0
$$;
