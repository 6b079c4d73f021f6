SELECT coalesce(v.state, 'unknown') AS state, count(*) AS vehicles
FROM api.vehicles AS v
WHERE v.revoked_at IS NULL
GROUP BY 1
ORDER BY 2 DESC
