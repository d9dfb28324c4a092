"""rbic_hf: keeps the small part of a reasoning dataset that teaches the most."""
