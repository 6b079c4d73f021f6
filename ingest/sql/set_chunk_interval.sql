SELECT fleet.set_chunk_interval($1)
