-- Seconds from $2 until a command is due or expires; null where none is under way.
SELECT extract(epoch FROM least(
    (SELECT c.next_at FROM fleet.command AS c JOIN fleet.registration AS r ON r.vehicle_id = c.vehicle_id
        WHERE c.state IN ('queued', 'paged', 'sent', 'delivered') AND c.next_at IS NOT NULL
            AND c.not_after > $2 AND r.region = $1
        ORDER BY c.next_at LIMIT 1),
    (SELECT min(give_up_at) FROM fleet.command WHERE state IN ('queued', 'paged', 'sent', 'delivered'))
) - $2)::double precision
