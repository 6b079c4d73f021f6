SELECT coalesce(max(cursor), 0) FROM fleet.presence_event
