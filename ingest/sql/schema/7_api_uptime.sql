-- How long vehicles were in each state between two times, in vehicle seconds, by the region that served them.
--
-- view: `at`, by when it became so, as is known now; `learned_at`, by what was believed at each time.
-- vehicle_id: of this vehicle; null: of all. What was before a vehicle's first change counts nowhere, nor does the
-- time after its credential was ended.
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
    ), known AS (
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
    ), spans AS (
        SELECT k.region, k.state, k.reason, greatest(k.moment, uptime.since) AS began,
            least(uptime.until, min(k.moment) OVER (
                PARTITION BY k.vehicle_id ORDER BY k.cursor ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
            )) AS ended
        FROM known AS k
    )
    SELECT s.region, s.state, sum(extract(epoch FROM s.ended - s.began))::double precision
    FROM spans AS s WHERE s.ended > s.began AND s.reason <> 'revoked'
    GROUP BY s.region, s.state
$$;
