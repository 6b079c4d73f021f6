-- Which of the keys $1 some vehicle (of $2; null: any) has sent.
-- Vehicles with the same hash have sent the same keys: the signals of one of them are opened.
SELECT k.key
FROM unnest($1::text[]) AS k (key)
WHERE EXISTS (
    SELECT
    FROM (
        SELECT min(vehicle_id) AS vehicle_id
        FROM api.vehicles
        WHERE $2::text IS NULL OR vehicle = $2
        GROUP BY coalesce(keys_hash, vehicle_id)
    ) AS alike
    JOIN api.vehicles AS v USING (vehicle_id)
    WHERE v.signals ? k.key
)
