"""The edge's durable memory: hosts, invitations, claims, counters.

``ledger`` has the contract, ``sqlite`` keeps it on disk, ``memory`` in tests.
"""
