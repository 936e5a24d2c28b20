"""Answering the API server: reviews in, decisions out, never longer than the budget allows.

`routes` is the HTTP of one review, `service` its flow; `reviews` reads the wire format, and `answers` writes it.
What a review claims is untrusted: any pod that reaches the port can send one, so only the live namespace gives
authority.
"""
