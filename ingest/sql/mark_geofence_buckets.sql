-- Marks the buckets of a vehicle, $1, that geofences $2 say something of, or did. $3 to $6: south, west, north and east of
-- boxes around those that hold for it; empty: none does. Buckets that were derived without any geofence are marked too.
-- They are due at once.
INSERT INTO fleet.dirty_bucket AS d (vehicle_id, bucket, since)
SELECT r.vehicle_id, r.bucket, clock_timestamp() - interval '1 minute'
FROM fleet.rollup AS r
LEFT JOIN fleet.geofence_bucket AS b ON b.vehicle_id = r.vehicle_id AND b.bucket = r.bucket
WHERE r.vehicle_id = $1 AND (
    (b.vehicle_id IS NULL AND cardinality($3::double precision[]) > 0)
    OR EXISTS (
        SELECT FROM unnest($3::double precision[], $4::double precision[], $5::double precision[], $6::double precision[])
            AS box (south, west, north, east)
        WHERE box.south <= b.north AND b.south <= box.north AND box.west <= b.east AND b.west <= box.east)
    OR b.inside ?| $2::integer[]::text[]
    OR EXISTS (
        SELECT FROM fleet.geofence_crossing AS c
        WHERE c.vehicle_id = r.vehicle_id AND c.bucket = r.bucket AND c.geofence_id = ANY ($2::integer[])))
ORDER BY r.bucket
ON CONFLICT (vehicle_id, bucket) DO UPDATE SET marks = d.marks + 1
RETURNING 1
