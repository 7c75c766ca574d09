"""How good a forecast was: the past is forecast from what was known then, and compared with what came."""
