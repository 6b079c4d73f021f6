SELECT id FROM fleet.erasure WHERE finished_at IS NULL ORDER BY id
