"""The layers; max-parity has a folder of this name as well, of which nothing may be seen here."""
