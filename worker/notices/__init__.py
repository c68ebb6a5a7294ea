"""What people and programs are told of: notices, made of the events that are logged anyway. Pure."""
