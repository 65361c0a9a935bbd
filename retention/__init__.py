"""How long a recording is to live (B-15 to B-25): reckoned here, and done by nothing yet."""
