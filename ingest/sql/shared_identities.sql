-- Vehicles that looked like two units with one identity in the last day.
SELECT count(DISTINCT vehicle_id) FROM (
    SELECT vehicle_id FROM api.shared_identities WHERE seen_at > now() - interval '1 day'
    UNION ALL
    SELECT vehicle_id FROM api.delivery WHERE conflict_at > now() - interval '1 day'
) AS seen
