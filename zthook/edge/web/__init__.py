"""The edge's web page: what ``zthook edge status``, ``mappings`` and ``log`` tell, live.

It changes nothing but who is logged in. ``site`` puts it together.
"""
