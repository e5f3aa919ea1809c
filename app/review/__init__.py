"""Review: people's decisions on photos, and what rules suggest until there is one."""
