-- What the dashboard may write. Each runs with the rights of the owner, and names everything in full.

-- Makes vehicles, or gives existing ones a new secret (rotate). macs: HMAC-SHA-256 of the secrets, hex, one a name.
-- One row a name, in the order given; created: there was none, or it had been erased; rotated: it has this secret now
-- and had another before; neither: nothing was changed. A revoked vehicle comes back only by rotate.
CREATE FUNCTION api.provision(names text[], macs text[], rotate boolean DEFAULT false)
RETURNS TABLE (name text, created boolean, rotated boolean, revoked boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(names) <> cardinality(macs) THEN
        RAISE EXCEPTION '% names, but % macs', cardinality(names), cardinality(macs)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM unnest(names) AS n GROUP BY n HAVING count(*) > 1) THEN
        RAISE EXCEPTION 'a name is given twice' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM unnest(macs) AS m WHERE m IS NULL OR m !~ '^[0-9a-f]{64}$') THEN
        RAISE EXCEPTION 'a mac is not 64 hexadecimal digits' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM fleet.erasure AS e JOIN fleet.vehicle AS v ON v.id = e.vehicle_id
        WHERE e.finished_at IS NULL AND v.name = ANY (names)) THEN
        RAISE EXCEPTION 'one of these vehicles is being erased' USING ERRCODE = 'object_in_use';
    END IF;
    RETURN QUERY
    WITH given AS (
        SELECT g.name, g.mac, g.position FROM unnest(names, macs) WITH ORDINALITY AS g (name, mac, position)
    ), written AS (
        INSERT INTO fleet.vehicle AS v (name, mac)
        SELECT g.name, g.mac FROM given AS g ORDER BY g.name COLLATE "C" -- one order of locks for everybody
        ON CONFLICT ON CONSTRAINT vehicle_name_key DO UPDATE SET
            mac = excluded.mac,
            created_at = CASE WHEN v.erased_at IS NULL THEN v.created_at ELSE excluded.created_at END,
            revoked_at = NULL,
            erased_at = NULL
        WHERE provision.rotate OR v.erased_at IS NOT NULL
        RETURNING v.name, v.created_at = transaction_timestamp() AS created
    )
    SELECT g.name, coalesce(w.created, false), NOT coalesce(w.created, true),
        w.name IS NULL AND v.revoked_at IS NOT NULL
    FROM given AS g
    LEFT JOIN written AS w ON w.name = g.name
    LEFT JOIN fleet.vehicle AS v ON v.name = g.name
    ORDER BY g.position;
    PERFORM pg_notify('fleetcell_credentials', '');
END
$$;

-- Ends a vehicle's credential; false: there is no such vehicle. Revoking twice keeps the first time.
CREATE FUNCTION api.revoke(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.vehicle AS v SET revoked_at = coalesce(v.revoked_at, now())
    WHERE v.name = revoke.name AND v.erased_at IS NULL;
    IF FOUND THEN
        PERFORM pg_notify('fleetcell_credentials', '');
    END IF;
    RETURN FOUND;
END
$$;

-- Makes an API key, or replaces the key of that name; the old one ends.
CREATE FUNCTION api.key_put(name text, role text, hash bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO fleet.api_key AS k (name, role, hash) VALUES (key_put.name, key_put.role, key_put.hash)
    ON CONFLICT ON CONSTRAINT api_key_name_key DO UPDATE SET
        role = excluded.role, hash = excluded.hash, revoked_at = NULL,
        created_at = CASE WHEN k.hash = excluded.hash THEN k.created_at ELSE now() END
$$;

-- false: there is no such key, or it was revoked before.
CREATE FUNCTION api.key_revoke(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.api_key AS k SET revoked_at = now() WHERE k.name = key_revoke.name AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;

-- Makes a user or changes role and password; a null hash keeps the password there is.
CREATE FUNCTION api.user_put(name text, role text, password_hash text DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO fleet.app_user AS u (name, role, password_hash)
    VALUES (user_put.name, user_put.role, user_put.password_hash)
    ON CONFLICT ON CONSTRAINT app_user_pkey DO UPDATE SET
        role = excluded.role, password_hash = coalesce(excluded.password_hash, u.password_hash), updated_at = now()
$$;

-- No row: there is no such user.
CREATE FUNCTION api.user_get(user_name text) RETURNS TABLE (name text, role text, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT u.name, u.role, u.password_hash FROM fleet.app_user AS u WHERE u.name = user_name
$$;

-- false: there is no such user.
CREATE FUNCTION api.user_remove(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM fleet.app_user AS u WHERE u.name = user_remove.name;
    RETURN FOUND;
END
$$;
