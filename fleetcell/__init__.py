"""fleetcell: the shared language of the services, and the command that starts them."""

__version__ = "0.1.0"
