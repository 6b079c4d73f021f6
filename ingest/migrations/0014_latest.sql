-- What is latest of a vehicle, kept as it is written: nobody looks into it here, and to read it is rarer than to write it.
-- depends: 0012_geofences

-- migrate: apply

ALTER TABLE fleet.vehicle_latest
    ALTER COLUMN signals DROP DEFAULT,
    ALTER COLUMN signals TYPE json USING signals::json,
    ALTER COLUMN signals SET DEFAULT '{}',
    ADD COLUMN keys_hash bigint;                        -- of the keys of `signals`; null: not known

-- migrate: rollback

ALTER TABLE fleet.vehicle_latest
    DROP COLUMN keys_hash,
    ALTER COLUMN signals DROP DEFAULT,
    ALTER COLUMN signals TYPE jsonb USING signals::jsonb,
    ALTER COLUMN signals SET DEFAULT '{}';
