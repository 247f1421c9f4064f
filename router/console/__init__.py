"""The staff console: what a signed-in person of the district sees and does."""
