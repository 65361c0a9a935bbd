"""A live PBX's manager stream, put by for a bug report, and read again by `kikitori calls replay`.

Read: `pseudonym` (a number for a number) -> `number`, `names`, `secret` (where they stand) -> `mask` (what of a stream
is nobody's business; pure) -> `take`.
"""
