-- Until when what is derived has all readings in it that are stored, of all vehicles.
SELECT coalesce(min(bucket), clock_timestamp()) FROM api.dirty_buckets
