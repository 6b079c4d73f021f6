-- Registrations of a region whose vehicle's credential was ended, and that do not say so yet.
-- As an array, so that the few revoked ones are looked up whatever the planner believes of their number.
SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE r.vehicle_id = ANY (ARRAY(
        SELECT id FROM fleet.vehicle WHERE revoked_at IS NOT NULL AND erased_at IS NULL
    )) AND r.region = $1 AND r.reason <> $2
ORDER BY r.vehicle_id LIMIT $3 FOR UPDATE OF r
