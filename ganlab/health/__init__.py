"""How well a training goes: signs of what goes wrong, found in its statistics, pictures and scores, and what helps."""
