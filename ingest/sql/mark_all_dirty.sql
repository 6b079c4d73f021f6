INSERT INTO fleet.dirty_bucket AS d (vehicle_id, bucket)
SELECT vehicle_id, bucket FROM fleet.rollup ORDER BY vehicle_id, bucket
ON CONFLICT (vehicle_id, bucket) DO UPDATE SET marks = d.marks + 1
