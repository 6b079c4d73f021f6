-- The vehicles that have readings or anything derived; $1: only these names, null for all.
SELECT v.id, v.name FROM fleet.vehicle AS v
WHERE ($1::text[] IS NULL OR v.name = ANY ($1))
    AND (EXISTS (SELECT FROM fleet.telemetry AS t WHERE t.vehicle_id = v.id)
        OR EXISTS (SELECT FROM fleet.rollup AS r WHERE r.vehicle_id = v.id))
ORDER BY v.name
