-- Events and hazards, as the dashboard reads them.

CREATE VIEW api.events AS
SELECT e.time, e.vehicle_id, v.name AS vehicle, e.boot, e.seq, e.kind, e.data, e.lat, e.lon, e.received_at, e.quality
FROM fleet.event AS e
JOIN fleet.vehicle AS v ON v.id = e.vehicle_id;

-- state: active, expired, or what ended it.
CREATE VIEW api.hazards AS
SELECT h.id, h.region, h.station_id, h.sequence, h.cause, h.sub_cause, h.quality, h.lat, h.lon, h.speed, h.heading,
    h.detected_at, h.reference_at, h.valid_until, h.first_at, h.updates, h.ended_at,
    CASE
        WHEN h.ended_by IS NOT NULL THEN h.ended_by
        WHEN h.valid_until > clock_timestamp() THEN 'active'
        ELSE 'expired'
    END AS state
FROM fleet.hazard AS h;
