"""Benchmarks: `scripts/bench`. Plain programs, no tests: docs/benchmarks.md says what their figures mean."""
