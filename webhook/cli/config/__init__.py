"""`config check`: tells what is wrong in a configuration file, without a cluster."""
