-- Takes the marks off; what was marked again meanwhile stays, and waits anew. Never waits for a batch that is marking.
WITH held AS MATERIALIZED (
    SELECT d.vehicle_id, d.bucket, d.marks = given.marks AS done
    FROM unnest($1::integer[], $2::integer[], $3::bigint[]) AS given (vehicle_id, number, marks)
    JOIN fleet.dirty_bucket AS d
        ON d.vehicle_id = given.vehicle_id AND d.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
    FOR UPDATE OF d SKIP LOCKED
), gone AS (
    DELETE FROM fleet.dirty_bucket AS d USING held
    WHERE held.done AND d.vehicle_id = held.vehicle_id AND d.bucket = held.bucket
)
UPDATE fleet.dirty_bucket AS d SET since = clock_timestamp() FROM held
WHERE NOT held.done AND d.vehicle_id = held.vehicle_id AND d.bucket = held.bucket
