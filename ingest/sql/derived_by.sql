SELECT rules::text FROM fleet.derived_by
