-- The geofences whose history is to be derived next, and after which vehicle that goes on. None: there are none, or what was
-- marked for them last is not derived yet.
SELECT g.id, g.version, g.backfill_after FROM fleet.geofence AS g
WHERE g.removed_at IS NULL
    AND g.backfill_after = (SELECT min(p.backfill_after) FROM fleet.geofence AS p WHERE p.removed_at IS NULL)
    AND NOT EXISTS (SELECT FROM fleet.dirty_bucket AS d WHERE d.since <= g.marked_at)
