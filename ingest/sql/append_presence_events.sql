SELECT fleet.append_presence_events($1::jsonb)
