-- These vehicles spoke up, or fell silent: what is under way for them is looked at now ($2), the oldest first.
UPDATE fleet.command AS c SET next_at = $2 FROM fleet.vehicle AS v
WHERE v.id = c.vehicle_id AND v.name = ANY ($1::text[]) AND c.state IN ('queued', 'paged', 'sent', 'delivered')
