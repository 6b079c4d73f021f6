-- Which of the keys $1 some vehicle (of $2; null: any) has sent.
SELECT k.key
FROM unnest($1::text[]) AS k (key)
WHERE EXISTS (SELECT FROM api.vehicles AS v WHERE v.signals ? k.key AND ($2::text IS NULL OR v.vehicle = $2))
