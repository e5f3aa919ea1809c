"""The verdict of a sheet: its gate, ranking, steps and voters, and the pictures behind each number."""
