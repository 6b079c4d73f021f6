-- Units refused these: they were for another session. They wait for the attach of the newest, or for the next attempt.
UPDATE fleet.command AS c SET epoch = NULL, updated_at = clock_timestamp() WHERE c.id = ANY ($1::uuid[])
