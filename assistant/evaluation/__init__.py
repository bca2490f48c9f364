"""How well it understands, and what it costs: measured, never asserted. Never needed to run."""
