"""The catalog: the photos of a team, their files and what was measured of them."""
