"""`fleetcell up`: the whole platform on one machine, each service a supervised process of its own."""
