-- The regions: where their units connect, which H3 cells they serve, which addresses they hand out.
-- depends: 0001_fleet

-- Each region's ingest writes its own row from its settings. To retire a region, stop its ingest and delete the row.

-- migrate: apply

CREATE TABLE fleet.region (
    name        text COLLATE "C" PRIMARY KEY,
    url         text NOT NULL,                          -- of the broker, as units reach it
    cells       text[] NOT NULL,                        -- H3, of mixed resolutions, compacted
    address_pool text,                                  -- CIDR
    registered_at timestamptz NOT NULL DEFAULT now()    -- when this was last changed
);

-- migrate: rollback

DROP TABLE fleet.region;
