"""`withdraw`: removes all that an installation has written, once its release is uninstalled; plan first."""
