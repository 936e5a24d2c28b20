"""Answering the API server: reviews in, decisions out, never longer than the budget allows.

`reviews` is the wire format, `service` the flow of one review, `routes` the HTTP of it. What a review claims is
untrusted: any pod that reaches the port can send one, so only the live namespace gives authority.
"""
