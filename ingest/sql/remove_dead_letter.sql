DELETE FROM fleet.dead_letter WHERE id = $1
