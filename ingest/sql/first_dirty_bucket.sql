SELECT (extract(epoch FROM min(bucket)) / 600)::integer FROM fleet.dirty_bucket WHERE vehicle_id = $1
