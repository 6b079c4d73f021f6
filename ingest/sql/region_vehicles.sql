-- A part of the vehicles that a region serves or has served, after this one: their retained state is its to write.
SELECT r.vehicle_id FROM fleet.registration AS r
WHERE r.vehicle_id > $2 AND (r.region = $1 OR EXISTS (
    SELECT FROM fleet.presence_event AS p
    WHERE p.vehicle_id = r.vehicle_id AND p.previous_region = $1 AND p.previous_region IS DISTINCT FROM p.region))
ORDER BY r.vehicle_id LIMIT $3
