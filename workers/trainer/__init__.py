"""A run's trainer from outside: started, followed, watched, ended, and what its end means. It knows the database."""
