-- The delivery ledger of one vehicle, newest boot first. $1 vehicle.
SELECT boot, received::text AS received, evicted::text AS evicted, quarantined::text AS quarantined,
    dead_lettered::text AS dead_lettered, corrected::text AS corrected, claimed, duplicates, conflicts, conflict_at, late,
    extract(epoch FROM max_late)::double precision AS max_late_s, lateness, origin, measured_from, measured_until,
    first_at, last_at
FROM api.delivery
WHERE vehicle_id = $1
ORDER BY first_at DESC, boot
