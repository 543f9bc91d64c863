"""`porchlight doctor`: why the appliance does not start, and what a killed one has left.

It looks and tries, and changes nothing but what it made itself; only a sweep that was asked for removes something, and
never of a live instance.
"""
