"""Benchmarks: `scripts/bench`. Plain programs, no tests: they print figures, docs/benchmarks.md says what these mean."""
