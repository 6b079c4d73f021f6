-- Pairs of boots of one vehicle that cannot be of one unit. $1 vehicle.
SELECT boot, other_boot, seen_at FROM api.shared_identities WHERE vehicle_id = $1 ORDER BY seen_at, boot, other_boot
