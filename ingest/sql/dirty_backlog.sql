SELECT count(*)::integer AS buckets,
    coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::double precision AS oldest_s
FROM fleet.dirty_bucket
