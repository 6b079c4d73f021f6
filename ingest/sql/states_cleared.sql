UPDATE fleet.erasure SET regions = array_remove(regions, $1) WHERE id = ANY ($2::bigint[])
