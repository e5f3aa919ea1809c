"""Review: people's decisions on photos, and the rules that decide the plain cases."""
