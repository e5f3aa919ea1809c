"""The report of a sheet: what is in it, its pictures made small, and the file printed as PDF."""
