UPDATE fleet.feed SET generation = gen_random_uuid()
