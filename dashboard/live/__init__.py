"""The live feed: one hub (pure) in the middle, the database and MQTT on one side, transports on the other."""
