"""How good a generator is: its pictures against real ones, by metrics, under a protocol that each score carries."""
