"""Programs for another environment's Python, run by their path: they import nothing of the appliance."""
