"""What tests/fakes/zinitd.py is made of."""
