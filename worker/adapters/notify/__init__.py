"""The ways by which notices reach those who are told: HTTP, e-mail, a program."""
