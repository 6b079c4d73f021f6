INSERT INTO fleet.derived_by (rules) VALUES ($1::text::json) ON CONFLICT (only_row) DO UPDATE SET rules = excluded.rules
