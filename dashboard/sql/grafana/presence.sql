SELECT $__timeGroupAlias(at, $__interval), state || ' (' || reason || ')' AS metric, count(*) AS changes
FROM api.presence_events
WHERE $__timeFilter(at)
GROUP BY 1, 2
ORDER BY 1
