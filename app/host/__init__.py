"""What runs on this machine: the servers shipped in wheels, the supervisor, the devices, `up`, `status`, `doctor`."""
