"""Messages between vehicles (V2X): ETSI CAM and DENM, their times and their cells. Pure."""
