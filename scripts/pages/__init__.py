"""The generated pages of docs/reference, one module for each kind of source. scripts/docs.py writes them."""
