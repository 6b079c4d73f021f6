SELECT $__timeGroupAlias(time, $__interval), vehicle AS metric, avg(speed) AS speed
FROM api.telemetry
WHERE $__timeFilter(time) AND vehicle IN (${vehicle:sqlstring}) AND quality & 1 = 0
GROUP BY 1, 2
ORDER BY 1
