"""How a record changes: pure functions from one record to the next."""
